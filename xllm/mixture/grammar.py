"""The language of mixtures.

    mixture = term { "+" term }
    term    = name [ "[" [bound] ":" [bound] "]" ]
    bound   = integer [ "%" ]

A name is a dataset and its config joined by `_` (alpaca_en, translation_flores_en-zh), or an alias. A slice counts
rows or percent as Python does: [10:20], [:10%], [-100:].
"""

import re
from dataclasses import dataclass

from xllm.errors import XllmError

TERM = re.compile(r"(?P<name>[^\s+*\[\]/\\:]+)(?:\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


@dataclass(frozen=True)
class Term:
    """One part of a mixture: a name, and the bounds of its slice as they were written."""

    name: str
    start: str | None = None
    stop: str | None = None

    def __str__(self) -> str:
        sliced = self.start is not None or self.stop is not None
        return self.name + (f"[{self.start or ''}:{self.stop or ''}]" if sliced else "")

    def rows(self, count: int) -> range:
        """The row numbers that the slice picks out of `count` rows."""
        bounds = [None if b is None else round(count * int(b[:-1]) / 100) if b[-1] == "%" else int(b)
                  for b in (self.start, self.stop)]  # fmt: skip
        return range(count)[slice(*bounds)]


def parse(mixture: str) -> list[Term]:
    """The terms of a mixture. Raises XllmError that names the column where the text stops making sense."""
    terms, column = [], 0
    while True:
        match = TERM.match(mixture, column)
        if match is None:
            raise _error(mixture, column, "a name such as alpaca_en")
        if ".." in match["name"] or match["name"].startswith("."):
            raise _error(mixture, column, "a name without dots at its start and without '..'")
        terms.append(Term(match["name"], match["start"], match["stop"]))
        column = match.end()
        if column == len(mixture):
            return terms
        if mixture[column] != "+":
            raise _error(mixture, column, "'+', a slice such as [10:20] or [:10%], or the end")
        column += 1


def _error(mixture: str, column: int, expected: str) -> XllmError:
    return XllmError(f"cannot read the mixture {mixture!r} at column {column + 1}: expected {expected}")
