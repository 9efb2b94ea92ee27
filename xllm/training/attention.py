"""Attention over rows that lie end to end, none of which sees another."""

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, PreTrainedModel

NAME = "rows"  # under which transformers knows it
HALF = (torch.float16, torch.bfloat16)


def rows_attention(
    module,
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
    **_,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each of the rows whose `lengths` add up to the tokens.

    query is [1, heads, tokens, size], key and value have as many heads or fewer; returns [1, tokens, heads, size].
    Variable-length flash attention on a GPU in half precision, else torch's own attention row by row.
    """
    if query.is_cuda and query.dtype in HALF and not softcap and not dropout:
        return _flash(query, key, value, lengths, scaling, sliding_window), None
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    parts = []
    for q, k, v in zip(*(tensor.split(lengths, 2) for tensor in (query, key, value)), strict=True):
        if softcap:
            parts.append(_capped(q, k, v, scaling, sliding_window, softcap))
            continue
        mask = _band(q.shape[2], sliding_window, q.device)
        parts.append(F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=mask is None, scale=scaling))
    return torch.cat(parts, 2).transpose(1, 2), None


def _band(length: int, window: int | None, device: torch.device) -> torch.Tensor | None:
    """What a row of so many tokens may see through a sliding window; None where that is all that came before."""
    if window is None or length <= window:
        return None
    back = torch.arange(length, device=device)
    back = back[:, None] - back
    return (back >= 0) & (back < window)


def _capped(q, k, v, scaling, window, cap) -> torch.Tensor:
    """Attention with soft-capped scores, as Gemma 2 has it, which torch's own doesn't do."""
    scores = cap * torch.tanh(q @ k.transpose(2, 3) * (scaling or q.shape[-1] ** -0.5) / cap)
    length = q.shape[2]
    seen = _band(length, window, q.device)
    seen = torch.ones(length, length, dtype=torch.bool, device=q.device).tril() if seen is None else seen
    return F.softmax(scores.float().masked_fill(~seen, float("-inf")), -1).to(q.dtype) @ v


def _flash(query, key, value, lengths, scaling, window) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    ends = torch.tensor([0, *lengths], device=query.device).cumsum(0, dtype=torch.int32)
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    seen = (-1 if window is None else window - 1, 0)
    groups = {"enable_gqa": True} if q.shape[1] != k.shape[1] else {}
    longest = max(lengths)
    return varlen_attn(q, k, v, ends, ends, longest, longest, scale=scaling, window_size=seen, **groups)[None]


def attend_by_rows(model: PreTrainedModel) -> None:
    """Let a model attend as above, whenever it is called with `lengths`."""
    AttentionInterface.register(NAME, rows_attention)
    model.set_attn_implementation(NAME)
