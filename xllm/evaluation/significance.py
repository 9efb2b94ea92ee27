"""Whether a score, or a difference between two, is more than chance: the bootstrap, and approximate randomisation.

Both draw as sacrebleu does (Koehn 2004; Riezler and Maxwell 2005; `sacrebleu --paired-bs` and `--paired-ar`), with its
generator and seed, and for every metric: one is told by statistics of each row, which add up, and by how a score
follows from their sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

SEED = 12345
SAMPLES = 1000  # of a bootstrap
TRIALS = 10_000  # of a randomisation
AT_A_TIME = 500  # trials in memory


@dataclass(frozen=True)
class Measured:
    """What a metric found of a file of answers."""

    statistics: np.ndarray  # [rows, k]
    score_of: Callable[[np.ndarray], np.ndarray]  # sums of statistics, [n, k] → scores, [n]
    signature: str
    by_sacrebleu: bool = False
    of_rows: bool = False  # the score is the mean of values of single rows, of which 0 is the worst

    @property
    def value(self) -> float:
        """The score of all rows."""
        return float(self.score_of(self.statistics.sum(0, keepdims=True))[0])

    @property
    def count(self) -> int:
        return len(self.statistics)

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


def mean(values: Sequence[float], signature: str) -> Measured:
    """The metric whose score is the mean of its rows' values."""
    statistics = np.stack([np.asarray(values, float), np.ones(len(values))], axis=1)
    return Measured(statistics, lambda sums: sums[:, 0] / sums[:, 1], signature, of_rows=True)


@dataclass(frozen=True)
class Difference:
    """How a contender's score differs from the baseline's over the same rows. The p-values are two-sided, but for
    sacrebleu's, which counts the larger differences of one side alone and is about half of the others."""

    delta: float  # contender - baseline
    low: float  # the ends of its 95 % interval
    high: float
    p_bootstrap: float
    p_randomised: float
    p_sacrebleu: float | None  # what `sacrebleu --paired-bs` prints; of its own metrics


def resampled(systems: Sequence[Measured], samples: int = SAMPLES) -> list[np.ndarray]:
    """The scores of each system over `samples` draws of as many rows as there are, the same draws for all."""
    rng, count = np.random.default_rng(SEED), systems[0].count
    sums = [np.empty((samples, system.statistics.shape[1])) for system in systems]
    for sample in range(samples):
        rows = rng.choice(count, size=count, replace=True)
        for own, system in zip(sums, systems, strict=True):
            own[sample] = system.statistics[rows].sum(0)
    return [system.score_of(own) for own, system in zip(sums, systems, strict=True)]


def interval(scores: np.ndarray) -> tuple[float, float]:
    """The range that 95 % of the scores of a bootstrap lie in."""
    ordered, cut = np.sort(scores), len(scores) // 40
    return float(ordered[cut]), float(ordered[len(scores) - cut - 1])


def difference(baseline: Measured, contender: Measured, drawn: Sequence[np.ndarray]) -> Difference:
    """All tests of a contender against the baseline; `drawn` are the scores of both, resampled together."""
    delta, moved = contender.value - baseline.value, drawn[1] - drawn[0]
    return Difference(
        delta,
        *interval(moved),
        p_bootstrap=_p_value(np.abs(moved - moved.mean()), abs(delta)),
        p_randomised=_p_value(_shuffled(baseline, contender), abs(delta)),
        p_sacrebleu=_p_sacrebleu(*drawn, abs(delta)) if baseline.by_sacrebleu else None,
    )


def _shuffled(baseline: Measured, contender: Measured) -> np.ndarray:
    """The absolute differences when a coin decides for each row which of the two answered it; one a trial."""
    coins = np.random.default_rng(SEED).integers(2, size=(TRIALS, baseline.count), dtype=bool)
    gap = baseline.statistics - contender.statistics
    found = []
    for start in range(0, TRIALS, AT_A_TIME):
        moved = coins[start : start + AT_A_TIME].astype(float) @ gap
        one = baseline.score_of(contender.statistics.sum(0) + moved)
        other = baseline.score_of(baseline.statistics.sum(0) - moved)
        found.append(np.abs(one - other))
    return np.concatenate(found)


def _p_value(differences: np.ndarray, observed: float) -> float:
    """How often chance alone makes as large a difference; never 0, since the observed one counts as drawn. Values such
    as accuracies often tie, up to rounding."""
    return (int((differences >= observed - 1e-9).sum()) + 1) / (len(differences) + 1)


def _p_sacrebleu(scores: np.ndarray, others: np.ndarray, observed: float) -> float:
    folded = np.abs(others - scores)
    return (int((folded - folded.mean() > observed).sum()) + 1) / (len(folded) + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for being several (Holm 1979): with them, rejecting at 5 % keeps the chance of any false
    rejection at 5 %."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = largest
    return corrected
