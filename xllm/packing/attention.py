"""Causal attention of tokens that follow others, as all of the model's families here have it."""

import torch
import torch.nn.functional as F


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    window: int | None = None,
    softcap: float | None = None,
) -> torch.Tensor:
    """Attention of the last tokens of a text, each to itself and all before it, by torch's own kernels.

    query is [rows, heads, last tokens, size], key and value are [rows, as many heads or fewer, tokens, size]; returns
    the shape of query. `window` bounds how far back a token sees, itself included; `softcap` bounds the scores, as in
    Gemma 2, which torch's kernels don't do.
    """
    last, tokens = query.shape[2], key.shape[2]
    seen = None
    if last < tokens or (window is not None and tokens > window):
        seen = visible(torch.arange(tokens - last, tokens, device=query.device), tokens, window)
    return attend_where(seen, query, key, value, scaling=scaling, dropout=dropout, softcap=softcap)


def visible(positions: torch.Tensor, tokens: int, window: int | None) -> torch.Tensor:
    """Which of so many tokens those at `positions` see: [positions, tokens]."""
    back = positions[:, None] - torch.arange(tokens, device=positions.device)
    return (back >= 0) if window is None else (back >= 0) & (back < window)


def attend_where(
    seen: torch.Tensor | None,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
) -> torch.Tensor:
    """The same where `seen`, broadcast to [rows, heads, last tokens, tokens], says what each token sees; where it is
    None, that is all before it."""
    grouped = query.shape[1] != key.shape[1]
    if softcap:
        return _capped(seen, query, key, value, scaling, softcap)
    return F.scaled_dot_product_attention(
        query, key, value, seen, dropout, is_causal=seen is None, scale=scaling, enable_gqa=grouped
    )


def _capped(
    seen: torch.Tensor | None,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    cap: float,
) -> torch.Tensor:
    groups, size = query.shape[1] // key.shape[1], query.shape[3]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = cap * torch.tanh(query @ key.transpose(2, 3) * (scaling or size**-0.5) / cap)
    if seen is None:
        seen = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).tril()
    return F.softmax(scores.float().masked_fill(~seen, float("-inf")), -1).to(query.dtype) @ value
