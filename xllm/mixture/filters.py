"""What a mixture's selection leaves out: flawed parallel text, and rows that overlap with test sets."""

from collections import Counter
from dataclasses import replace

import numpy as np

from xllm.errors import XllmError
from xllm.mixture import overlap, quality
from xllm.mixture.mixture import Mixture


def kept(mixture: Mixture) -> Mixture:
    """The mixture without what its selection leaves out; each of its `terms` counts that as `left_out`.

    Raises XllmError where no row is left.
    """
    if mixture.selection.filter_parallel:
        mixture = _without(mixture, quality.flaws(mixture) > 0, "flawed")
    if mixture.tests:
        hits = overlap.contamination(mixture, overlap.HeldOut(mixture.tests))
        out = np.zeros(len(mixture), bool)
        out[[hit["row"] for hit in hits]] = True
        mixture = _without(mixture, out, "contaminated")
    return mixture


def _without(mixture: Mixture, out: np.ndarray, reason: str) -> Mixture:
    """The mixture without the rows for which `out`, one boolean a row, is true."""
    parts, start = [], 0
    counts: Counter[str] = Counter()
    for name, rows in mixture.parts:
        own = out[start : start + len(rows)]
        start += len(rows)
        counts[name] += int(own.sum())
        if not own.all():
            parts.append((name, rows.select(np.flatnonzero(~own)) if own.any() else rows))
    if not parts:
        raise XllmError(f"no row of {mixture.text} is left: all are {reason}")
    terms = [
        replace(term, rows=term.rows - counts[term.name], left_out={**term.left_out, reason: counts[term.name]})
        for term in mixture.terms
    ]
    return replace(mixture, parts=parts, terms=terms)
