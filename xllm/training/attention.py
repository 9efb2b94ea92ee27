"""Attention over rows that lie end to end, none of which sees another."""

import torch
from transformers import AttentionInterface, PreTrainedModel

from xllm.attention import attend

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
    rows = zip(*(tensor.split(lengths, 2) for tensor in (query, key, value)), strict=True)
    limits = {"scaling": scaling, "dropout": dropout, "window": sliding_window, "softcap": softcap}
    return torch.cat([attend(*row, **limits) for row in rows], 2).transpose(1, 2), None


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
