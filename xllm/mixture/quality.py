"""Flaws of parallel text that can be told without knowing both languages."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from xllm import identification, languages
from xllm.languages import units

if TYPE_CHECKING:
    import datasets

    from xllm.mixture.mixture import Mixture

LONGEST_RATIO = 3.0  # how far a pair's ratio of lengths may be from the median of its dataset, either way
LONG_ENOUGH = 30  # bytes of UTF-8: of shorter texts neither length nor language says much
FLAWS = ("copies", "odd_lengths", "wrong_source_language", "wrong_target_language")
COPY, ODD_LENGTH, WRONG_SOURCE, WRONG_TARGET = range(1, 1 + len(FLAWS))


def flaws(mixture: "Mixture") -> np.ndarray:
    """For each row 0, or n where the n-th of FLAWS is the first that it has; only parallel text has any."""
    terms = {term.name: term for term in mixture.terms}
    middles = {name: _middle(mixture, name) for name, term in terms.items() if term.task == "translation"}
    found, start = np.zeros(len(mixture), np.uint8), 0
    for name, rows in mixture.parts:
        if name in middles:
            languages_of = terms[name].source_language, terms[name].language
            for row, pair in enumerate(_pairs(rows), start):
                found[row] = _flaw(*pair, middles[name], *languages_of)
        start += len(rows)
    return found


def count(mixture: "Mixture", found: np.ndarray) -> list[dict[str, int]]:
    """How many rows of each dataset have each flaw."""
    counts, start = {term.name: np.zeros(1 + len(FLAWS), int) for term in mixture.terms}, 0
    for name, rows in mixture.parts:
        counts[name] += np.bincount(found[start : start + len(rows)], minlength=1 + len(FLAWS))
        start += len(rows)
    return [dict(zip(FLAWS, map(int, counts[term.name][1:]), strict=True)) for term in mixture.terms]


def _pairs(rows: "datasets.Dataset") -> Iterator[tuple[str, str]]:
    for batch in rows.select_columns(["input", "output"]).iter(1000):
        yield from zip(batch["input"], batch["output"], strict=True)


def _middle(mixture: "Mixture", name: str) -> float:
    """The median ratio of lengths of a dataset's pairs, of the long ones where it has any."""
    pairs = (pair for dataset, rows in mixture.parts if dataset == name for pair in _pairs(rows))
    ratios = np.fromiter(((_ratio(*pair), all(map(_long, pair))) for pair in pairs), np.dtype("f8, ?"))
    return float(np.median(ratios["f0"][ratios["f1"]] if ratios["f1"].any() else ratios["f0"]))


def _flaw(source: str, target: str, middle: float, source_language: str | None, language: str | None) -> int:
    if units(source) == units(target) and any(map(str.isalpha, source)):
        return COPY
    sides = _long(source) + _long(target)
    slack = LONGEST_RATIO**2 if sides == 1 else LONGEST_RATIO  # of a short text only the grossest differences count
    if sides and not middle / slack <= _ratio(source, target) <= middle * slack:
        return ODD_LENGTH
    if _other(source, source_language):
        return WRONG_SOURCE
    return WRONG_TARGET if _other(target, language) else 0


def _ratio(source: str, target: str) -> float:
    return len(target) / len(source)


def _long(text: str) -> bool:
    return len(text.encode()) >= LONG_ENOUGH


def _other(text: str, language: str | None) -> bool:
    if language is None or not _long(text) or not languages.identifiable(language):
        return False
    return identification.told(text, language) not in (None, languages.base(language))
