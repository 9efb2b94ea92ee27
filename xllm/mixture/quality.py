"""Flaws of parallel text that can be told without knowing both languages."""

import statistics
from collections import Counter

from xllm import languages
from xllm.mixture.mix import Mixture
from xllm.mixture.overlap import units

LONGEST_RATIO = 3.0  # how far a pair's ratio of lengths may be from the median of its dataset, either way
LONG_ENOUGH = 30  # bytes of UTF-8: of shorter texts neither length nor language says much
SURE = 0.8  # the probability from which an identified language counts
FLAWS = ("copies", "odd_lengths", "wrong_source_language", "wrong_target_language")


def flaws(mixture: Mixture) -> dict[int, tuple[str, str]]:
    """Row number → (dataset, its first flaw of FLAWS), for the rows of datasets of parallel text."""
    found = {}
    names = list(mixture.rows["from"])
    for term in mixture.terms:
        if term["task"] != "translation":
            continue
        own = [row for row, name in enumerate(names) if name == term["from"]]
        rows = mixture.rows.select(own)
        pairs = list(zip(rows["input"], rows["output"], strict=True))
        long = [pair for pair in pairs if all(map(_long, pair))]
        middle = statistics.median(_ratio(*pair) for pair in long or pairs)
        for row, pair in zip(own, pairs, strict=True):
            flaw = _flaw(*pair, middle, term["source_language"], term["language"])
            if flaw:
                found[row] = (term["from"], flaw)
    return found


def count(found: dict[int, tuple[str, str]], name: str) -> dict[str, int]:
    """How many rows of a dataset have each flaw."""
    counts = Counter(flaw for dataset, flaw in found.values() if dataset == name)
    return {flaw: counts[flaw] for flaw in FLAWS}


def filter_parallel(mixture: Mixture) -> Mixture:
    """The mixture without the flawed pairs of its parallel text."""
    return mixture.without(set(flaws(mixture)), "flawed as parallel text")


def _flaw(source: str, target: str, middle: float, source_language: str | None, language: str | None) -> str | None:
    if units(source) == units(target) and any(map(str.isalpha, source)):
        return "copies"
    sides = _long(source) + _long(target)
    slack = LONGEST_RATIO**2 if sides == 1 else LONGEST_RATIO  # of a short text only the grossest differences count
    if sides and not middle / slack <= _ratio(source, target) <= middle * slack:
        return "odd_lengths"
    if _other(source, source_language):
        return "wrong_source_language"
    return "wrong_target_language" if _other(target, language) else None


def _ratio(source: str, target: str) -> float:
    return len(target) / len(source)


def _long(text: str) -> bool:
    return len(text.encode()) >= LONG_ENOUGH


def _other(text: str, language: str | None) -> bool:
    if language is None or not _long(text):
        return False
    found, probability = languages.identify(text)
    return probability >= SURE and found != languages.base(language)
