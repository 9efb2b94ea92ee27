"""What a metric finds of a file of answers: statistics of each row, which add up, and the score of their sums."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Measured:
    """What a metric found of a file of answers."""

    statistics: np.ndarray  # [rows, k]
    score_of: Callable[[np.ndarray], np.ndarray]  # sums of statistics, [n, k] → scores, [n]
    signature: str
    by_sacrebleu: bool = False
    of_rows: bool = False  # the score is the mean of values of single rows, of which 0 is the worst
    percent: bool = False  # and these are from 0 to 100

    @property
    def value(self) -> float:
        """The score of all rows."""
        return float(self.score_of(self.statistics.sum(0, keepdims=True))[0])

    @property
    def count(self) -> int:
        return len(self.statistics)

    @property
    def yes_or_no(self) -> bool:
        """Whether each row is either right or wrong: 100, or 0."""
        return self.percent and bool(np.isin(self.statistics[:, 0], (0.0, 100.0)).all())

    @property
    def right(self) -> int:
        """How many rows are right, where each is right or wrong."""
        return round(self.statistics[:, 0].sum() / 100)

    def of_each_row(self) -> np.ndarray:
        """The score that each row would have alone."""
        return self.score_of(self.statistics)

    def without(self, failed: Sequence[int]) -> "Measured":
        """The same where some rows have failed, and so are as wrong as can be: an empty answer may be right, or score
        with some metrics."""
        if not failed or not self.of_rows:
            return self
        statistics = self.statistics.copy()
        statistics[list(failed), 0] = np.minimum(statistics[list(failed), 0], 0)
        return replace(self, statistics=statistics)

    def part(self, rows: Sequence[int]) -> "Measured":
        """The same of some rows alone."""
        return replace(self, statistics=self.statistics[list(rows)])


def mean(values: Sequence[float], signature: str, percent: bool = True) -> Measured:
    """The metric whose score is the mean of its rows' values, which are from 0 to 100 if they are `percent`."""
    statistics = np.stack([np.asarray(values, float), np.ones(len(values))], axis=1)
    return Measured(statistics, lambda sums: sums[:, 0] / sums[:, 1], signature, of_rows=True, percent=percent)
