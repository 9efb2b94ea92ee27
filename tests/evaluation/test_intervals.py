"""95 % intervals hold what they should as often as they should, and aren't there where rows say nothing."""

from math import comb

import numpy as np
import pytest
from scipy.stats import binomtest

from xllm.evaluation import intervals
from xllm.evaluation.measured import mean
from xllm.evaluation.metrics import classification, translation
from xllm.evaluation.proportions import bonett_price, wilson
from xllm.evaluation.significance import difference, resampled


def rows(right, total, worth=100.0):
    return mean([worth] * right + [0.0] * (total - right), "")


@pytest.mark.parametrize("total", [2, 7, 30, 200])
def test_shares_have_wilson_s_interval(total):
    for right in {0, 1, total // 2, total - 1, total}:
        found = intervals.of_score(rows(right, total))
        ends = binomtest(right, total).proportion_ci(method="wilson")
        assert found.kind == "wilson"
        assert (found.low, found.high) == pytest.approx((100 * ends.low, 100 * ends.high), abs=1e-9)
        assert 0 <= found.low <= 100 * right / total <= found.high <= 100 and found.high - found.low > 1


@pytest.mark.parametrize("total", [30, 200])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.95])
def test_they_hold_the_true_share_in_95_of_100_sets(total, share):
    """Every number of right rows, times how often it comes up: no set is drawn, nothing is left to chance."""
    covered = 0.0
    for right in range(total + 1):
        found = intervals.of_score(rows(right, total))
        if found.low <= 100 * share <= found.high:
            covered += comb(total, right) * share**right * (1 - share) ** (total - right)
    assert 0.93 <= covered <= 0.98


def test_those_of_values_in_between_do_so_where_few_rows_are_worth_anything():
    """Like F1: of 30 rows, 5 % are worth something up to 100. The bootstrap alone holds the true mean in 68 of 100 sets,
    since it has no width where all rows are 0."""
    rng, held = np.random.default_rng(5), 0
    for _ in range(200):
        found = intervals.of_score(mean(100 * rng.random(30) * (rng.random(30) < 0.05), ""))
        held += found.low <= 2.5 <= found.high
    assert held / 200 >= 0.87


@pytest.mark.parametrize("first, second", [(0.05, 0.05), (0.05, 0.2), (0.5, 0.6), (0.95, 0.95), (0.99, 0.99)])
def test_those_of_differences_hold_the_true_one(first, second):
    """Systems that are independent, and systems of which the second gets all that the first does."""
    rng = np.random.default_rng(8)
    for total in (30, 200):
        for together in (False, True):
            held, luck = 0, rng.random((2000, total))
            one, other = luck < first, (luck if together else rng.random((2000, total))) < second
            for a, b in zip(one, other, strict=True):
                low, high = bonett_price(int((b & ~a).sum()), int((a & ~b).sum()), total)
                held += low <= 100 * (second - first) <= high
            assert held / 2000 >= 0.93


@pytest.mark.parametrize("right", [0, 30])
def test_nothing_right_and_all_right_say_how_little_30_rows_tell(right):
    found, same = intervals.of_score(rows(right, 30)), rows(right, 30)
    assert (found.low, found.high) == pytest.approx((0, 11.35) if right == 0 else (88.65, 100), abs=0.01)
    other = difference(same, same, resampled([same, same]))
    # by hand: (1 + 1 - 0) / 32 ± 1.96 √((1/32 + 1/32) / 32)
    assert (other.low, other.delta, other.high) == pytest.approx((-8.66, 0, 8.66), abs=0.01)
    assert other.p_bootstrap == other.p_randomised == 1


def test_a_row_alone_and_draws_that_all_tie_tell_no_interval():
    assert intervals.of_score(rows(1, 1)) is None
    assert intervals.of_score(mean([37.5] * 9, "")) is None
    assert intervals.of_score(mean([0.0] * 9, "", percent=False)) is None  # of a model's scores, which have other ends
    for prediction in ("completely other words stand here", "the cat sat on the mat today"):
        bleu = translation.bleu([{"output": "the cat sat on the mat today", "prediction": prediction}] * 9, "en", None)
        assert bleu.value == pytest.approx(0 if prediction.startswith("c") else 100) and not intervals.of_score(bleu)
        found = difference(bleu, bleu, resampled([bleu, bleu]))
        assert found.p_sacrebleu is None and found.p_randomised == 1 and found.low == found.high == 0


def test_values_in_between_have_the_bootstrap_s():
    found = intervals.of_score(mean([0.0] * 29 + [50.0], ""))
    assert found.kind == "bootstrap" and 0 == found.low < found.high
    labels = [{"output": "ab"[i % 2], "prediction": "a", "labels": ["a", "b"]} for i in range(20)]
    assert intervals.of_score(classification.macro_f1(labels, "en", None)).kind == "bootstrap"
    assert intervals.of_score(classification.accuracy(labels, "en", None)).kind == "wilson"


def test_shares_of_flaws_have_one_and_none_without_rows():
    found = intervals.share("empty", [False] * 30, "s")
    assert (found.value, found.count, found.interval) == (0, 30, "wilson") and found.high == wilson(0, 30)[1]
    none = intervals.share("empty", [], "s")
    assert (none.value, none.count, none.low, none.high, none.interval) == (0, 0, None, None, None)
