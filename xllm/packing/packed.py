"""Models that take rows end to end: how one is made to, and whether it does so exactly."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel

from xllm.errors import XllmError
from xllm.packing.attention import attend
from xllm.packing.collate import packed_batch
from xllm.packing.internals import attention_kept, body, replace_forward
from xllm.packing.lengths import edge, probe
from xllm.packing.loss import chunked_loss
from xllm.packing.own_loss import aux_weight, cross_entropy, own_inputs, targets
from xllm.packing.structure import (
    ALONE,
    FAULTS,
    ROUNDING,
    only_attention_mixes,
    quiet,
    sees_ahead,
    some_ids,
    words,
)

NEAR = 1e-3  # of what attention changes at all, or of how far a loss is from that of a guess


def make_losses(model: PreTrainedModel, longest: int) -> bool:
    """Let a model, called with a micro-batch, return the sum of its targets' losses and the loss of each row; the sum
    counts each row by its weight where there are `row_weights`. What its own loss has besides cross-entropy is added,
    times the targets.

    True where it takes rows end to end: nothing but attention mixes its tokens, and a trial with rows up to `longest`
    tokens finds no difference. Any other gets padded rows. Raises XllmError for a model that sees the tokens that it is
    to foretell, or has another loss.
    """
    original = model.forward
    with quiet(model):
        if sees_ahead(model):
            raise XllmError(
                f"a {model.config.model_type} model can't be trained here: what it says of a token depends on those "
                "after it, so it is no causal language model"
            )
        weight = aux_weight(model, original)
        replace_forward(model, partial(_forward, weight=weight))
        if not only_attention_mixes(model):
            return False
        with attention_kept(model):
            exact = all(_is_exact(model, original, lengths) for lengths in _tried(model, longest))
    if exact:
        attend_by_rows(model)
    return exact


def _tried(model: PreTrainedModel, longest: int) -> list[list[int]]:
    """The lengths of rows that are tried together: up to the edge beyond which texts are turned otherwise, and beyond
    it, where rows are that long."""
    far, beyond = probe(model.config, longest), edge(model.config)
    if beyond is None or longest <= beyond:
        return [[far, min(7, longest)]]
    return [[min(far, beyond), min(7, beyond)], [max(far, beyond + 1), beyond + 1]]


def _is_exact(model: PreTrainedModel, original: Callable[..., Any], lengths: list[int]) -> bool:
    """Whether rows end to end give what each gives alone, with the attention that leaves nothing out that a model says
    of it: hidden states and losses. Tokens that attend to themselves show how much of these is attention's part."""
    rows = [some_ids(model, length, seed).numpy() for seed, length in enumerate(lengths)]
    prompts = torch.tensor([min(2, length - 1) for length in lengths]).numpy()
    batch = packed_batch(rows, prompts)
    try:
        with torch.no_grad():
            model.set_attn_implementation("eager")
            alone = [_said(model, original, input_ids=torch.from_numpy(row)[None]) for row in rows]
            model.set_attn_implementation(ALONE)
            apart = _hidden(model, batch)
            attend_by_rows(model)
            hidden = _hidden(model, batch)
            _, losses = _target_losses(model, hidden, batch)
    except FAULTS:
        return False
    plain = torch.cat([states[0] for states, _ in alone])
    labels = [torch.from_numpy(row).long()[None] for row in rows]
    expected = torch.cat(
        [
            cross_entropy(logits, own)[0, prompt - 1 :]
            for (_, logits), own, prompt in zip(alone, labels, prompts, strict=True)
        ]
    )
    part = (apart[0] - plain).abs().max()
    signal = (expected - math.log(words(model))).abs().max()
    return _near(hidden[0], plain, part) and _near(losses, expected, signal)


def _near(found: torch.Tensor, expected: torch.Tensor, size: torch.Tensor) -> bool:
    rounding = ROUNDING[torch.float32] * expected.abs().max()
    return bool((found - expected).abs().max() <= NEAR * size + rounding)


def _said(model: PreTrainedModel, original: Callable[..., Any], **inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """What goes into the head of a model in its own forward, and its logits."""
    found: list[torch.Tensor] = []
    with _hook(model.get_output_embeddings().register_forward_pre_hook(lambda _, given: found.append(given[0]))):
        logits = original(**inputs, use_cache=False).logits
    return found[0], logits


@contextmanager
def _hook(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def _forward(original: Callable[..., Any], weight: float) -> Callable[..., Any]:
    def forward(model: PreTrainedModel, *args: Any, **inputs: Any) -> Any:
        if "target_rows" in inputs:
            return _packed(model, original, weight, inputs)
        if "lengths" in inputs:
            return _padded(model, original, weight, inputs)
        return original(*args, **inputs)

    return forward


def _packed(
    model: PreTrainedModel, original: Callable[..., Any], weight: float, inputs: dict[str, Any]
) -> tuple[torch.Tensor, torch.Tensor]:
    if weight:  # the model's own forward, for what it makes of its experts' load, and one token's logits
        found: list[torch.Tensor] = []
        with _hook(body(model).register_forward_hook(lambda _, __, output: found.append(output[0]))):
            balance = original(**_rows(inputs), logits_to_keep=1).aux_loss
        hidden = found[0]
    else:
        hidden, balance = _hidden(model, inputs), None
    total, losses = _target_losses(model, hidden, inputs)
    rows = torch.zeros(len(inputs["lengths"]), device=losses.device).index_add_(0, inputs["target_rows"], losses)
    if balance is not None:
        total = total + weight * len(losses) * balance
    return total, rows


def _rows(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: inputs[name] for name in ("input_ids", "position_ids", "lengths")} | {"use_cache": False}


def _hidden(model: PreTrainedModel, inputs: dict[str, Any]) -> torch.Tensor:
    return body(model)(**_rows(inputs))[0]


def _target_losses(
    model: PreTrainedModel, hidden: torch.Tensor, inputs: dict[str, Any]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The losses of all targets, summed and each, from hidden states [1, tokens, size]."""
    head, config = model.get_output_embeddings(), model.config
    softcap = getattr(config, "final_logit_softcapping", None)
    # logits are scaled by Cohere's models, and divided by Granite's
    scale = (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)
    said = hidden[0, inputs["places"]]
    said = said if scale == 1.0 else said * scale
    weights = inputs["row_weights"][inputs["target_rows"]] if "row_weights" in inputs else None
    return chunked_loss(said, head.weight, head.bias, inputs["targets"], softcap, weights)


def _padded(
    model: PreTrainedModel, original: Callable[..., Any], weight: float, inputs: dict[str, Any]
) -> tuple[torch.Tensor, torch.Tensor]:
    said = original(**own_inputs(inputs, model))
    losses = cross_entropy(said.logits, inputs["labels"])
    total = (losses.sum(1) * inputs["row_weights"]).sum() if "row_weights" in inputs else losses.sum()
    if weight:
        total = total + weight * targets(inputs["labels"]) * said.aux_loss
    return total, losses.sum(1).detach()


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
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each of the rows whose `lengths` add up to the tokens.

    query is [1, heads, tokens, size], key and value have as many heads or fewer; returns [1, tokens, heads, size].
    Variable-length flash attention on a GPU in half precision, else torch's own attention row by row.
    """
    if others.get("s_aux") is not None:
        raise TypeError("attention sinks")
    if query.is_cuda and query.dtype in HALF and not softcap and not dropout:
        return _flash(query, key, value, lengths, scaling, sliding_window), None
    rows = zip(*(tensor.split(lengths, 2) for tensor in (query, key, value)), strict=True)
    attend_row = partial(attend, scaling=scaling, dropout=dropout, window=sliding_window, softcap=softcap)
    return torch.cat([attend_row(*row) for row in rows], 2).transpose(1, 2).contiguous(), None


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
