"""The language of mixtures.

    mixture = term { "+" term }
    term    = name [ slice ] [ "*" factor ]
    slice   = "[" [ bound ] ":" [ bound ] "]"
    bound   = [ "-" ] digits [ "%" ]
    factor  = digits [ "." digits ]

A name is a dataset and its config joined by `_` (alpaca_en, translation_flores_en-zh), or an alias. A slice counts
rows or percent as Python does: [10:20], [:10%], [-100:]. A factor repeats (*3) or samples (*0.25), or both (*2.5).
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from xllm.errors import XllmError

# in the order in which a term has them, each with what may stand there
NAME = re.compile(r"[^\s+*\[\]/\\:]+")
SLICE = re.compile(r"\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\]", re.ASCII)
FACTOR = re.compile(r"\*(?P<factor>\d+(\.\d+)?)", re.ASCII)


@dataclass(frozen=True)
class Term:
    """One part of a mixture: a name, the bounds of its slice and its factor, as they were written."""

    name: str
    start: str | None = None
    stop: str | None = None
    factor: str | None = None

    def __str__(self) -> str:
        sliced = self.start is not None or self.stop is not None
        bounds = f"[{self.start or ''}:{self.stop or ''}]" if sliced else ""
        return self.name + bounds + (f"*{self.factor}" if self.factor is not None else "")

    def rows(self, count: int) -> range:
        """The row numbers that the slice picks out of `count` rows."""
        return range(count)[slice(_bound(self.start, count), _bound(self.stop, count))]

    def times(self, count: int) -> tuple[int, int]:
        """How often the factor takes all of `count` rows, and how many it draws besides."""
        whole, share = divmod(Fraction(self.factor or "1"), 1)
        return int(whole), round(share * count)


def _bound(text: str | None, count: int) -> int | None:
    if text is None:
        return None
    return round(Fraction(count * int(text[:-1]), 100)) if text.endswith("%") else int(text)


def parse(mixture: str) -> list[Term]:
    """The terms of a mixture. Raises XllmError that names the column where the text stops making sense."""
    terms, column = [], 0
    while True:
        name = NAME.match(mixture, column)
        if name is None:
            raise _error(mixture, column, "a name such as alpaca_en")
        if ".." in name[0] or name[0].startswith("."):
            raise _error(mixture, column, "a name without dots at its start and without '..'")
        if not name[0].isprintable():
            raise _error(mixture, column, "a name of printable characters")
        column = name.end()
        bounds = SLICE.match(mixture, column)
        column = bounds.end() if bounds else column
        factor = FACTOR.match(mixture, column)
        column = factor.end() if factor else column
        if factor and not float(factor["factor"]):
            raise _error(mixture, factor.start(), "a factor above 0")
        start, stop = bounds.groups() if bounds else (None, None)
        terms.append(Term(name[0], start, stop, factor and factor["factor"]))
        if column == len(mixture):
            return terms
        if mixture[column] != "+":
            left = (
                "" if factor else "a factor such as *2 or *0.5, " if bounds else "a slice such as [10:20] or [:10%], "
            )
            raise _error(mixture, column, f"{left}'+' or the end")
        column += 1


def _error(mixture: str, column: int, expected: str) -> XllmError:
    return XllmError(f"cannot read the mixture {mixture!r} at column {column + 1}: expected {expected}")
