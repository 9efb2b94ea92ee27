"""The language of mixtures."""

import pytest

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
    rows = [row for start, stop in zip(bounds, bounds[1:], strict=False) for row in Term("a_x", start, stop).rows(1190)]
    assert rows == list(range(1190))
