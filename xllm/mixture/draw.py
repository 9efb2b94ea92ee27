"""Which rows a mixture takes: slices, repetitions, samples, and sizes by temperature.

What is drawn depends on the seed, the term's name and the row number alone. Each row has a rank, a fixed function of
those three; a sample of k rows is the k of lowest rank, so that a smaller sample is part of a larger one, and a machine
or a library's version changes nothing.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from xllm.mixture.grammar import Term


@dataclass(frozen=True)
class Pick:
    """Rows of one dataset, by number, in the order in which they are taken."""

    name: str
    rows: np.ndarray | range  # int64; a range, which takes no memory, where they are consecutive


def take(term: Term, picks: list[Pick], seed: int) -> list[Pick]:
    """What is left of `picks` after a term's slice and factor."""
    total = sum(len(pick.rows) for pick in picks)
    sliced = term.rows(total)
    picks = _between(picks, sliced.start, sliced.stop)
    whole, share = term.times(len(sliced))
    return picks * whole + (_at(picks, sample(len(sliced), share, seed, term.name)) if share else [])


def resize(picks: list[Pick], rows: int | None, temperature: float, seed: int) -> list[Pick]:
    """Give each dataset nᵢ^(1/T) of the mixture, nᵢ being its rows so far and T the temperature, `rows` in all (as many
    as there were, if None). A dataset that must grow is repeated, one that must shrink is sampled."""
    names = list(dict.fromkeys(pick.name for pick in picks))
    pools = {name: np.concatenate([pick.rows for pick in picks if pick.name == name]) for name in names}
    sizes = {name: len(pool) for name, pool in pools.items()}
    weights = np.array([size ** (1 / temperature) for size in sizes.values()])
    wanted = _share_out(sum(sizes.values()) if rows is None else rows, weights)
    resized = []
    for (name, pool), count in zip(pools.items(), wanted, strict=True):
        whole, share = divmod(int(count), len(pool))
        drawn = pool[sample(len(pool), share, seed, name)]
        resized.append(Pick(name, np.concatenate([*[pool] * whole, drawn])))
    return [pick for pick in resized if len(pick.rows)]


def sample(count: int, size: int, seed: int, name: str) -> np.ndarray:
    """`size` of the numbers below `count`, in ascending order, none of them twice."""
    if size == count:
        return np.arange(count)
    return np.sort(np.argpartition(ranks(count, seed, name), size)[:size])  # no two ranks are the same


def ranks(count: int, seed: int, name: str) -> np.ndarray:
    """A pseudo-random 64-bit number for each row: SplitMix64 (Steele, Lea, Flood 2014), started from seed and name."""
    start = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "little")
    state = np.uint64(start) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _between(picks: list[Pick], first: int, stop: int) -> list[Pick]:
    """The rows from position `first` up to `stop` of the picks laid end to end."""
    found, start = [], 0
    for pick in picks:
        rows = pick.rows[max(0, first - start) : max(0, stop - start)]
        if len(rows):
            found.append(Pick(pick.name, rows))
        start += len(pick.rows)
    return found


def _at(picks: list[Pick], positions: np.ndarray) -> list[Pick]:
    """The rows at ascending positions of the picks laid end to end."""
    found, start = [], 0
    for pick in picks:
        low, high = np.searchsorted(positions, [start, start + len(pick.rows)])
        if high > low:
            found.append(Pick(pick.name, np.asarray(pick.rows)[positions[low:high] - start]))
        start += len(pick.rows)
    return found


def _share_out(total: int, weights: np.ndarray) -> np.ndarray:
    """Whole numbers in proportion to `weights` that add up to `total` (largest remainders)."""
    exact = total * weights / weights.sum()
    counts = np.floor(exact).astype(np.int64)
    short = total - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return counts
