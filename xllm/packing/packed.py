"""Models that take rows end to end: how one is made to, and whether it does so exactly."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel

from xllm.packing.attention import attend
from xllm.packing.collate import packed_batch, padded_batch
from xllm.packing.internals import attention_of, replace_forward
from xllm.packing.loss import chunked_loss

TOLERANCE = 1e-4  # of the loss, relative; in float32 the two ways differ by less than 1e-5


def make_losses(model: PreTrainedModel, longest: int) -> bool:
    """Let a model, called with a micro-batch, return the sum of its targets' losses and the loss of each row.

    True where it takes rows end to end. That is tried on rows up to `longest` tokens: a model for which it makes any
    difference (whose attention can't be replaced, or whose logits are made in a way of their own) gets padded rows, and
    computes its loss itself.
    """
    replace_forward(model, _forward)
    if not model.is_backend_compatible():
        return False
    before = attention_of(model)
    rows = [torch.randint(model.config.vocab_size, (length,)).numpy() for length in (_probe(model, longest), 7)]
    prompts = torch.tensor([2, 3]).numpy()
    with torch.no_grad():
        model.set_attn_implementation("eager")  # which leaves nothing out that a model says of its attention
        plain = [model(**padded_batch([row], prompts[[number]]))[0] for number, row in enumerate(rows)]
        attend_by_rows(model)
        try:
            packed = model(**packed_batch(rows, prompts))[1]
        except (TypeError, ValueError, RuntimeError, AttributeError):
            packed = torch.full((2,), float("inf"))
    if torch.allclose(packed, torch.stack(plain), rtol=TOLERANCE, equal_nan=True):
        return True
    model.set_attn_implementation(before)
    return False


def _probe(model: PreTrainedModel, longest: int) -> int:
    """A length that reaches beyond a sliding window, where rows may do so."""
    window = getattr(model.config, "sliding_window", None) or 0
    return min(longest, window + 9) if window < longest else min(longest, 33)


def _forward(original: Callable[..., Any]) -> Callable[..., Any]:
    def forward(model: PreTrainedModel, *args: Any, **inputs: Any) -> Any:
        if "target_rows" in inputs:
            return _packed(model, inputs)
        if "lengths" in inputs:
            return _padded(original, inputs)
        return original(*args, **inputs)

    return forward


def _packed(model: PreTrainedModel, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = inputs["lengths"]
    hidden = model.base_model(
        input_ids=inputs["input_ids"], position_ids=inputs["position_ids"], lengths=lengths, use_cache=False
    )[0]
    head = model.get_output_embeddings()
    softcap = getattr(model.config, "final_logit_softcapping", None)
    total, losses = chunked_loss(hidden[0, inputs["places"]], head.weight, head.bias, inputs["targets"], softcap)
    rows = torch.zeros(len(lengths), device=losses.device).index_add_(0, inputs["target_rows"], losses)
    return total, rows


def _padded(original: Callable[..., Any], inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    labels = inputs["labels"][:, 1:]
    logits = original(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False).logits
    losses = torch.nn.functional.cross_entropy(logits[:, :-1].float().transpose(1, 2), labels, reduction="none")
    return losses.sum(), losses.sum(1).detach()


NAME = "rows"  # under which transformers knows it


HALF = (torch.float16, torch.bfloat16)


def rows_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    lengths: list[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each of the rows whose `lengths` add up to the tokens.

    query is [1, heads, tokens, size], key and value have as many heads or fewer; returns [1, tokens, heads, size].
    Variable-length flash attention on a GPU in half precision, else torch's own attention row by row.
    """
    if query.is_cuda and query.dtype in HALF and not softcap and not dropout:
        return _flash(query, key, value, lengths, scaling, sliding_window), None
    rows = zip(*(tensor.split(lengths, 2) for tensor in (query, key, value)), strict=True)
    attend_row = partial(attend, scaling=scaling, dropout=dropout, window=sliding_window, softcap=softcap)
    return torch.cat([attend_row(*row) for row in rows], 2).transpose(1, 2), None


def _flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: list[int],
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    cu_seqlens = torch.tensor([0, *lengths], device=query.device).cumsum(0, dtype=torch.int32)
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    flash = partial(varlen_attn, scale=scaling, window_size=(-1 if window is None else window - 1, 0))
    if q.shape[1] != k.shape[1]:
        flash = partial(flash, enable_gqa=True)
    longest = max(lengths)
    out = flash(q, k, v, cu_seqlens, cu_seqlens, longest, longest)
    assert isinstance(out, torch.Tensor)  # alone: nobody asked for more
    return out[None]


def attend_by_rows(model: PreTrainedModel) -> None:
    """Let a model attend as above, whenever it is called with `lengths`."""
    AttentionInterface.register(NAME, rows_attention)
    model.set_attn_implementation(NAME)
