"""Scores with their 95 % intervals: Wilson's where each row is right or wrong (`proportions`), else the bootstrap's.

Values from 0 to 100 that are all 0, or all 100, have Wilson's, too, whatever else they might be (F1, for example): of
all values with a given mean, those that are nothing but 0 and 100 are the likeliest to be all 0, so that it is never
too narrow.

There is none where every draw of the bootstrap has the same score, such as a BLEU of 0 or of 100, and none of a single
row: rows that are all alike don't say how much others differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xllm.artifacts.scores import Score
from xllm.evaluation.measured import Measured, mean
from xllm.evaluation.proportions import wilson
from xllm.evaluation.significance import SAME, interval, resampled

WILSON, BOOTSTRAP = "wilson", "bootstrap"


@dataclass(frozen=True)
class Interval:
    """The ends of a 95 % interval, and how it was found."""

    low: float
    high: float
    kind: str


def of_score(measured: Measured, drawn: np.ndarray | None = None) -> Interval | None:
    """The interval of a score, or None where there is none; `drawn` are its scores by `resampled`, where these are
    known."""
    if measured.count < 2:
        return None
    if measured.yes_or_no:
        return Interval(*wilson(measured.right, measured.count), WILSON)
    low, high = interval(resampled([measured])[0] if drawn is None else drawn)
    return Interval(low, high, BOOTSTRAP) if high - low > SAME else None


def score(name: str, measured: Measured) -> Score:
    """What a metric of this name found, with its interval."""
    found = of_score(measured)
    ends = (found.low, found.high, found.kind) if found else ()
    return Score(name, measured.value, measured.count, measured.signature, *ends)


def share(name: str, flags: Sequence[bool], signature: str) -> Score:
    """How many in a hundred flags are set, with the interval of that; 0 where there is no flag."""
    if not flags:
        return Score(name, 0.0, 0, signature)
    return score(name, mean([100.0 * flag for flag in flags], signature))
