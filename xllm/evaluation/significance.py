"""Whether a score, or a difference between two, is more than chance: the bootstrap, and approximate randomisation.

Both draw as sacrebleu does (Koehn 2004; Riezler and Maxwell 2005; `sacrebleu --paired-bs` and `--paired-ar`), with its
generator and seed, and for every metric: one is told by statistics of each row, which add up, and by how a score
follows from their sums. Where each row is right or wrong, the interval of a difference is Bonett and Price's instead
(`proportions`); the randomisation is McNemar's exact test there, but for its drawing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xllm.evaluation.measured import Measured
from xllm.evaluation.proportions import bonett_price

SEED = 12345
SAMPLES = 1000  # of a bootstrap
TRIALS = 10_000  # of a randomisation
AT_A_TIME = 500  # trials in memory
SAME = 1e-9  # between scores that differ by their rounding alone


@dataclass(frozen=True)
class Difference:
    """How a contender's score differs from the baseline's over the same rows. The p-values are two-sided, but for
    sacrebleu's, which counts the larger differences of one side alone and is about half of the others."""

    delta: float  # contender - baseline
    low: float  # the ends of its 95 % interval; both are the delta where all rows tie, and tell none
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
        *(_ends(baseline, contender) or interval(moved)),
        p_bootstrap=_p_value(np.abs(moved - moved.mean()), abs(delta)),
        p_randomised=_p_value(_shuffled(baseline, contender), abs(delta)),
        p_sacrebleu=_p_sacrebleu(drawn[0], drawn[1], abs(delta)) if baseline.by_sacrebleu else None,
    )


def _ends(baseline: Measured, contender: Measured) -> tuple[float, float] | None:
    """The interval of a difference where each row is right or wrong."""
    if not (baseline.yes_or_no and contender.yes_or_no) or baseline.count < 2:
        return None
    gaps = contender.statistics[:, 0] - baseline.statistics[:, 0]
    return bonett_price(int((gaps > 0).sum()), int((gaps < 0).sum()), len(gaps))


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
    return (int((differences >= observed - SAME).sum()) + 1) / (len(differences) + 1)


def _p_sacrebleu(scores: np.ndarray, others: np.ndarray, observed: float) -> float | None:
    folded = np.abs(others - scores)
    if observed < SAME and folded.max() < SAME:  # all rows tie, of which sacrebleu says that chance hardly does it
        return None
    return (int((folded - folded.mean() > observed).sum()) + 1) / (len(folded) + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for being several (Holm 1979): with them, rejecting at 5 % keeps the chance of any false
    rejection at 5 %."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = largest
    return corrected
