"""The language of mixtures."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xllm.errors import XllmError
from xllm.mixture.grammar import Term, parse


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("alpaca_en", [Term("alpaca_en")]),
        ("a_x+b_y", [Term("a_x"), Term("b_y")]),
        ("a_x[10:20]", [Term("a_x", "10", "20")]),
        ("a_x[:10%]+b_y[5:]", [Term("a_x", None, "10%"), Term("b_y", "5", None)]),
        ("a_x[-100:]", [Term("a_x", "-100", None)]),
        ("translation_flores_en-zh", [Term("translation_flores_en-zh")]),
        ("a_x[:]", [Term("a_x")]),
        ("a_x*3+b_y[:5]*0.25", [Term("a_x", factor="3"), Term("b_y", None, "5", "0.25")]),
    ],
)
def test_reads_terms_and_writes_them_back(text, terms):
    assert parse(text) == terms
    assert parse("+".join(map(str, terms))) == terms


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("", 1),
        ("a_x+", 5),
        ("+a_x", 1),
        ("a_x++b_y", 5),
        ("a_x[3", 4),
        ("a_x*", 4),
        ("a_x*0", 4),
        ("a_x*0.0", 4),
        ("a_x*-1", 4),
        ("a_x*2[:3]", 6),
        ("a_x*2*3", 6),
        ("a_x[:2]b", 8),
        ("a_x[:١]", 4),
        ("a\x00b", 1),
        ("a_x[3]", 4),
        ("a_x[1:2:3]", 4),
        ("a_x[1.5:]", 4),
        ("a_x b_y", 4),
        ("a/x", 2),
        ("a_..", 1),
        ("../x", 1),
    ],
)
def test_names_the_column_where_it_stops_making_sense(text, column):
    with pytest.raises(XllmError, match=f"at column {column}:"):
        parse(text)


@pytest.mark.parametrize(
    ("start", "stop", "count", "rows"),
    [
        ("10", "20", 100, range(10, 20)),
        (None, "10%", 1190, range(119)),
        ("10%", "20%", 1190, range(119, 238)),
        ("-3", None, 10, range(7, 10)),
        (None, "-3", 10, range(7)),
        ("50", None, 10, range(10, 10)),
        (None, "500", 10, range(10)),
    ],
)
def test_slices_as_python_does(start, stop, count, rows):
    assert Term("a_x", start, stop).rows(count) == rows


def test_percent_slices_tile_without_gap_or_overlap():
    bounds = [f"{p}%" for p in range(0, 101, 7)] + ["100%"]
    rows = [row for start, stop in pairwise(bounds) for row in Term("a_x", start, stop).rows(1190)]
    assert rows == list(range(1190))


@pytest.mark.parametrize(
    ("factor", "count", "times"),
    [(None, 7, (1, 0)), ("3", 7, (3, 0)), ("0.25", 100, (0, 25)), ("2.5", 10, (2, 5)), ("0.1", 3, (0, 0))],
)
def test_a_factor_repeats_and_samples(factor, count, times):
    assert Term("a_x", factor=factor).times(count) == times


BOUNDS = st.none() | st.from_regex(r"-?[0-9]{1,6}%?", fullmatch=True)
FACTORS = st.none() | st.from_regex(r"[1-9][0-9]{0,3}(\.[0-9]{1,3})?", fullmatch=True)
NAMES = st.text(st.characters(exclude_categories=("Z", "C"), exclude_characters="+*[]/\\:"), min_size=1).filter(
    lambda name: (
        ".." not in name and not name.startswith(".") and name.isprintable() and not any(map(str.isspace, name))
    )
)


@given(st.lists(st.builds(Term, NAMES, BOUNDS, BOUNDS, FACTORS), min_size=1))
def test_whatever_it_writes_it_reads_back(terms):
    assert parse("+".join(map(str, terms))) == terms


@given(st.text() | st.text("aE_+*[]:.-%0123456789"))
def test_garbage_is_an_error_at_a_column_or_reads_back(text):
    try:
        terms = parse(text)
    except XllmError as error:
        assert re.search(r"at column \d+: expected", str(error))
    else:
        assert parse("+".join(map(str, terms))) == terms


@given(BOUNDS, BOUNDS, st.integers(0, 10**7))
def test_a_slice_never_leaves_the_dataset(start, stop, count):
    rows = Term("a_x", start, stop).rows(count)
    assert rows.step == 1 and (not rows or (rows[0] >= 0 and rows[-1] < count))
