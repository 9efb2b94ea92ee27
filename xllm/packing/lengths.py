"""Lengths at which a model begins to compute otherwise, told from its configuration."""

import re
from typing import Any

BOUNDS = re.compile(r"window|chunk|local|block|max_position|floor_scale|max_seq")  # in names of what bounds attention
FEW = 33  # tokens that are tried where no bound lies within reach
BEYOND = 9


def edge(config: Any) -> int | None:
    """The length beyond which a text is turned otherwise as a whole, by LongRoPE; None where there is none.

    A text in a batch is turned by the longest of the batch, so those beyond the edge can't be computed with others.
    """
    turning = getattr(config.get_text_config(), "rope_parameters", None) or {}
    by_layer = [turning, *(own for own in turning.values() if isinstance(own, dict))]
    found = [
        own["original_max_position_embeddings"]
        for own in by_layer
        if own.get("rope_type") == "longrope" and own.get("original_max_position_embeddings")
    ]
    return min(found, default=None)


def turns_by_length(config: Any) -> bool:
    """Whether the longest row of a batch decides how positions are told to all."""
    turning = str(getattr(config.get_text_config(), "rope_parameters", None))
    return "longrope" in turning or "dynamic" in turning


def probe(config: Any, longest: int) -> int:
    """A length that reaches beyond all bounds of attention that texts of up to `longest` tokens reach, and is as short
    as that allows."""
    reached = [
        bound for bound in _bounds(config.get_text_config().to_dict()) if bound + BEYOND >= FEW and bound < longest
    ]
    return min(longest, max(reached, default=FEW - BEYOND) + BEYOND)


def _bounds(settings: Any, named: bool = False) -> list[int]:
    """All numbers below names that say a bound, as `sliding_window`, of a configuration as a dict."""
    if isinstance(settings, dict):
        pairs = settings.items()
        return [bound for name, value in pairs for bound in _bounds(value, bool(BOUNDS.search(str(name))))]
    if isinstance(settings, list | tuple):
        return [bound for value in settings for bound in _bounds(value, named)]
    return [settings] if named and type(settings) is int and settings > 0 else []
