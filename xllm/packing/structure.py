"""Which tokens of a model see which others, found out on the model itself.

Gradients tell it: that of what a model says of a token, by the embedding of another, is exactly zero where the one
doesn't see the other, and anything else where it does, whatever the weights. A change of the other's id tells what
gradients don't, such as a choice of experts that looks at several tokens.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel

from xllm.packing.internals import attention_kept, body
from xllm.packing.lengths import turns_by_length

TOKENS = 9  # of the text that is tried; as few as will do, since no layer mixes only tokens that are further apart
FAULTS = (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError, NotImplementedError)
# of what a layer says, relative; experts add up in another order where a token goes to others
ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 2e-2, torch.float16: 5e-3}
ALONE = "alone"  # under which transformers knows the attention of each token to itself


@contextmanager
def quiet(model: PreTrainedModel) -> Iterator[None]:
    """Within the block nothing is drawn, as dropout and jitter are in training."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def only_attention_mixes(model: PreTrainedModel) -> bool:
    """Whether a token learns of others by nothing but attention that can be replaced: no convolution, recurrence, shift
    of tokens or choice of experts that looks at several. Rows end to end are apart once their attention is."""
    if not model.is_backend_compatible():
        return False
    AttentionInterface.register(ALONE, _attend_to_itself)
    with attention_kept(model):
        model.set_attn_implementation(ALONE)
        try:
            return not any(_seen(model, place) for place in (TOKENS // 2, TOKENS - 1)) and not _moved(model)
        except FAULTS:
            return False


def apart_in_batches(model: PreTrainedModel) -> bool:
    """Whether what a model says of a row stays the same beside others, when all are padded on the left: no state takes
    up the padding, and positions aren't turned by the length of the longest."""
    if turns_by_length(model.config):
        return False
    if model.is_backend_compatible():
        return only_attention_mixes(model)
    return not getattr(model, "_is_stateful", True)


def sees_ahead(model: PreTrainedModel) -> bool:
    """Whether what a model says of a token depends on those after it, so that it can't be trained to foretell them."""
    return any(place > TOKENS // 2 for place in _seen(model, TOKENS // 2))


def _attend_to_itself(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **_: Any
) -> tuple[torch.Tensor, None]:
    return value.repeat_interleave(query.shape[1] // value.shape[1], 1).transpose(1, 2).contiguous(), None


def _seen(model: PreTrainedModel, place: int) -> set[int]:
    """The other places of a text that what a model says at one depends on, by gradients."""
    embedded: list[torch.Tensor] = []

    def leaf(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[-1].clone()  # which a model may change in place

    hook = model.get_input_embeddings().register_forward_hook(leaf)
    try:
        said = _say(model, some_ids(model, TOKENS))[place].float()
    finally:
        hook.remove()
    direction = torch.randn(said.shape, generator=torch.Generator().manual_seed(1)).to(said.device)
    [gradient] = torch.autograd.grad((said * direction).sum(), embedded[:1])
    # a weight that isn't a number says nothing; the first loss tells of it
    return {int(other) for other in (gradient[0].abs().sum(-1) > 0).nonzero()} - {place}


def _moved(model: PreTrainedModel) -> bool:
    """Whether what a model says of a token changes with the id of another."""
    with torch.no_grad():
        text = some_ids(model, TOKENS)
        before = _say(model, text)
        for place in (0, TOKENS // 2):
            other = text.clone()
            other[place] = next(own for own in some_ids(model, TOKENS, seed=1) if own != text[place])
            others = [number for number in range(TOKENS) if number != place]
            after = _say(model, other)
            if not torch.allclose(
                before[others], after[others], rtol=0, atol=ROUNDING[before.dtype] * float(before.abs().max())
            ):
                return True
    return False


def _say(model: PreTrainedModel, text: torch.Tensor) -> torch.Tensor:
    """What the layers of a model say of each token of a text: [tokens, size]."""
    return body(model)(input_ids=text[None].to(model.device), use_cache=False)[0][0]


def some_ids(model: PreTrainedModel, tokens: int, seed: int = 0) -> torch.Tensor:
    """The token ids of a text, drawn from all that a model knows."""
    return torch.randint(words(model), (tokens,), generator=torch.Generator().manual_seed(seed))


def words(model: PreTrainedModel) -> int:
    """How many token ids a model has embeddings of."""
    embeddings: Any = model.get_input_embeddings()
    return int(embeddings.weight.shape[0])
