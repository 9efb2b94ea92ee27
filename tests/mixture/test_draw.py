"""Which rows a mixture takes."""

import numpy as np
import pytest

from xllm.mixture.draw import Pick, ranks, resize, sample, take
from xllm.mixture.grammar import parse

RANKS = [17330666496402485230, 7850481807666242404, 15783068597604758480]
SAMPLE = [4, 7, 9, 11, 19]


def pick(name, count):
    return Pick(name, np.arange(count))


def drawn(text, *picks, seed=42):
    [term] = parse(text)
    return [(p.name, p.rows.tolist()) for p in take(term, list(picks), seed)]


def test_ranks_are_splitmix64_whatever_the_machine():
    """Written out, so that a change of library, platform or code can't change which rows are drawn."""
    assert ranks(3, 42, "alpaca_en").tolist() == RANKS
    assert sample(20, 5, 42, "alpaca_en").tolist() == SAMPLE
    assert sample(20, 5, 43, "alpaca_en").tolist() != SAMPLE
    assert sample(20, 5, 42, "alpaca_zh").tolist() != SAMPLE


def test_a_sample_has_no_row_twice_and_holds_every_smaller_one():
    for size in range(0, 101, 10):
        rows = sample(100, size, 1, "a")
        assert len(set(rows.tolist())) == size and (np.diff(rows) > 0).all()
        assert set(rows) <= set(sample(100, min(100, size + 10), 1, "a"))


def test_a_sample_is_spread_over_the_rows():
    rows = sample(100_000, 10_000, 7, "a")
    counts, _ = np.histogram(rows, 10, (0, 100_000))
    assert abs(counts - 1000).max() < 150  # five standard deviations


def test_slices_repetitions_and_samples():
    assert drawn("a*3", pick("a", 2)) == [("a", [0, 1])] * 3
    assert drawn("a[1:3]*2", pick("a", 5)) == [("a", [1, 2])] * 2
    [(_, half)] = drawn("a*0.5", pick("a", 10))
    assert len(half) == 5 and drawn("a*1.5", pick("a", 10)) == [("a", list(range(10))), ("a", half)]
    assert drawn("b[1:4]", pick("x", 2), pick("y", 3)) == [("x", [1]), ("y", [0, 1])]  # an alias


@pytest.mark.parametrize(
    ("rows", "temperature", "sizes"),
    [
        (None, 1, {"a": 900, "b": 100}),
        (500, 1, {"a": 450, "b": 50}),
        (2000, 1, {"a": 1800, "b": 200}),
        (None, 2, {"a": 750, "b": 250}),  # 30 : 10
        (100, 1e9, {"a": 50, "b": 50}),
        (3, 1, {"a": 3}),
    ],
)
def test_sizes_by_temperature(rows, temperature, sizes):
    picks = resize([pick("a", 900), pick("b", 100)], rows, temperature, 1)
    assert {p.name: len(p.rows) for p in picks} == sizes
    for p in picks:  # no row is taken again before each has been taken
        counts = np.bincount(p.rows, minlength={"a": 900, "b": 100}[p.name])
        assert counts.max() - counts.min() <= 1
