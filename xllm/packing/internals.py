"""What packing needs of transformers' models that has no public way, each reach once and with its reason.

A new release of transformers may change any of it; tests/test_internals.py then says which. What is public and used
elsewhere: `AttentionInterface`, `set_attn_implementation`, `is_backend_compatible`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

from transformers import PreTrainedModel


def attention_of(model: PreTrainedModel) -> str:
    """The name of a model's attention. It can be set in public (`set_attn_implementation`), but not read."""
    return model.config._attn_implementation  # noqa: SLF001  see above


@contextmanager
def attention_kept(model: PreTrainedModel) -> Iterator[None]:
    """Within the block a model's attention may be set to another; afterwards it is as before."""
    before = attention_of(model)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def layer_number(attention: Any) -> int:
    """Which layer an attention module is of: what transformers' own caches go by, too, but hand to no attention
    function."""
    return int(attention.layer_idx)


def replace_forward(model: PreTrainedModel, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Let `make(forward)`, which takes the model first, answer in place of a model's own forward.

    On the model itself, as accelerate does for autocast: around it, a module of our own would be another model to
    Trainer, to FSDP and to `save_pretrained`.
    """
    model.forward = MethodType(make(model.forward), model)


def body(model: PreTrainedModel) -> Any:
    """All of a model but its head. In Llama 4's text model `base_model` finds nothing, and is the model itself."""
    found: Any = model.base_model
    return found if found is not model else getattr(model, "model", model)
