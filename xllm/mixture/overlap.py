"""What a mixture says twice, and what it says that a test set asks."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from xllm.languages import SINGLE, units
from xllm.records import Row

if TYPE_CHECKING:
    from xllm.mixture.mixture import Mixture

WORDS, CHARACTERS = 8, 16  # how many units in a row make an overlap: where most are words, where most are characters


# a row of a training mixture that overlaps with a test set: its number, its share of n-grams that `test` (TERM/ID) has
Hit = TypedDict("Hit", {"row": int, "from": str, "id": str, "share": float, "test": str})


def duplicates(mixture: "Mixture") -> list[dict[str, int]]:
    """For each dataset: rows that repeat an earlier one of it, exactly (`duplicates`) or but for case, punctuation and
    spacing (`near_duplicates`), and rows that another dataset has too (`shared`, likewise normalised).

    A row is its input and output, or its instruction and output where there is no input. What a factor repeats or a
    slice takes twice counts once. Texts are told apart by 64-bit hashes: 32 bytes a row are held, whatever its length.
    """
    names = [term.name for term in mixture.terms]
    rows = np.fromiter((_hashes(row, names) for row in mixture), HASHES, len(mixture))
    rows = rows[np.unique(rows[["term", "id"]], return_index=True)[1]]
    texts, text = np.unique(rows["near"], return_inverse=True)
    owners = np.zeros(len(texts), int)  # in how many datasets a text stands
    for number in range(len(names)):
        owners[np.unique(text[rows["term"] == number])] += 1
    found = []
    for number in range(len(names)):
        own = rows["term"] == number
        found.append(
            {
                "duplicates": int(own.sum()) - len(np.unique(rows["exact"][own])),
                "near_duplicates": int(own.sum()) - len(np.unique(rows["near"][own])),
                "shared": int((owners[text[own]] > 1).sum()),
            }
        )
    return found


HASHES = np.dtype([("term", "u8"), ("id", "u8"), ("exact", "u8"), ("near", "u8")])


def _hashes(row: Row, names: list[str]) -> tuple[int, ...]:
    text = f"{row['input'] or row['instruction']}\n{row['output']}"
    digests = (
        hashlib.blake2b(part.encode(), digest_size=8).digest() for part in (row["id"], text, "".join(units(text)))
    )
    return names.index(row["from"]), *(int.from_bytes(digest, "little") for digest in digests)


class HeldOut:
    """The n-grams of test sets, to look for in training rows.

    An n-gram is 8 words, or 16 characters (Tibetan syllables) where most of a text's units are of a script without
    spaces. Only what a test row asks is looked for (its input, or its instruction where there is none) and only texts
    that are long enough; `short` counts the others.
    """

    def __init__(self, mixtures: "list[Mixture]") -> None:
        self.grams: dict[tuple[str, ...], str] = {}  # → the test row that it comes from, as TERM/ID
        self.short = 0
        for mixture in mixtures:
            for row in mixture:
                grams = list(_grams(row["input"] or row["instruction"]))
                self.short += not grams
                for gram in grams:
                    self.grams.setdefault(gram, f"{row['from']}/{row['id']}")

    def overlap(self, row: Row) -> tuple[float, str | None]:
        """The share of a training row's n-grams that the test sets have, and the test row of the first of them."""
        found = [self.grams.get(gram) for column in ("input", "output") for gram in _grams(row[column])]
        found += [self.grams.get(gram) for gram in _grams(row["instruction"])] if not row["input"] else []
        hits = [test for test in found if test is not None]
        return (len(hits) / len(found), hits[0]) if hits else (0.0, None)


def contamination(mixture: "Mixture", tests: HeldOut) -> list[Hit]:
    """The rows that overlap with a test set, worst first."""
    found: list[Hit] = []
    for number, row in enumerate(mixture):
        share, test = tests.overlap(row)
        if test is not None:
            found.append({"row": number, "from": row["from"], "id": row["id"], "share": share, "test": test})
    return sorted(found, key=lambda hit: -hit["share"])


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    parts = units(text)
    n = CHARACTERS if 2 * sum(map(bool, map(SINGLE.match, parts))) > len(parts) else WORDS
    return (tuple(parts[i : i + n]) for i in range(len(parts) - n + 1))
