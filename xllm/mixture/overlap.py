"""What a mixture says twice, and what it says that a test set asks."""

import unicodedata
from collections import Counter
from collections.abc import Iterator

import regex

from xllm.mixture.mix import Mixture, load_mixture

# a unit of text: a character of a script without spaces between words, else a word
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana and Han
)
UNIT = regex.compile(rf"[{UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{UNSPACED}]]+", regex.VERSION1)
SINGLE = regex.compile(f"[{UNSPACED}]")
WORDS, CHARACTERS = 8, 16  # how many units in a row make an overlap: where most are words, where most are characters


def duplicates(mixture: Mixture) -> list[dict]:
    """For each dataset: rows that repeat an earlier one of it, exactly (`duplicates`) or but for case, punctuation and
    spacing (`near_duplicates`), and rows that another dataset has too (`shared`, likewise normalised).

    A row is its input and output, or its instruction and output where there is no input. What a factor repeats or a
    slice takes twice counts once.
    """
    exact: dict[str, Counter] = {term["from"]: Counter() for term in mixture.terms}
    near: dict[str, Counter] = {term["from"]: Counter() for term in mixture.terms}
    for name, text in _contents(mixture):
        exact[name][text] += 1
        near[name]["".join(units(text))] += 1
    owners = Counter(text for texts in near.values() for text in texts)
    return [
        {
            "duplicates": exact[name].total() - len(exact[name]),
            "near_duplicates": near[name].total() - len(near[name]),
            "shared": sum(count for text, count in near[name].items() if owners[text] > 1),
        }
        for name in exact
    ]


def _contents(mixture: Mixture) -> Iterator[tuple[str, str]]:
    seen = set()
    for row in mixture.rows:
        if (row["from"], row["id"]) not in seen:
            seen.add((row["from"], row["id"]))
            yield row["from"], f"{row['input'] or row['instruction']}\n{row['output']}"


class HeldOut:
    """The n-grams of test sets, to look for in training rows.

    An n-gram is 8 words, or 16 characters where most of a text's units are characters of a script without spaces. Only
    what a test row asks is looked for (its input, or its instruction where there is none) and only texts that are
    long enough; `short` counts the others.
    """

    def __init__(self, mixtures: list[Mixture]) -> None:
        self.grams: dict[tuple[str, ...], str] = {}  # → the test row that it comes from, as TERM/ID
        self.short = 0
        for mixture in mixtures:
            for row in mixture.rows:
                grams = list(_grams(row["input"] or row["instruction"]))
                self.short += not grams
                for gram in grams:
                    self.grams.setdefault(gram, f"{row['from']}/{row['id']}")

    @classmethod
    def load(cls, against: str, data_dir: str | None) -> "HeldOut":
        """Of the test sets named in `against`, separated by commas."""
        return cls([load_mixture(name, "test", data_dir) for name in against.split(",")])

    def overlap(self, row: dict) -> tuple[float, str | None]:
        """The share of a training row's n-grams that the test sets have, and the test row of the first of them."""
        found = [self.grams.get(gram) for column in ("input", "output") for gram in _grams(row[column])]
        found += [self.grams.get(gram) for gram in _grams(row["instruction"])] if not row["input"] else []
        hits = [test for test in found if test is not None]
        return (len(hits) / len(found), hits[0]) if hits else (0.0, None)


def contamination(mixture: Mixture, tests: HeldOut) -> list[dict]:
    """The rows that overlap with a test set, worst first: `row` (its number), `from`, `id`, `share`, `test`."""
    found = []
    for number, row in enumerate(mixture.rows):
        share, test = tests.overlap(row)
        if test is not None:
            found.append({"row": number, "from": row["from"], "id": row["id"], "share": share, "test": test})
    return sorted(found, key=lambda hit: -hit["share"])


def drop_contaminated(mixture: Mixture, against: str, data_dir: str | None) -> Mixture:
    """The mixture without the rows that overlap with the test sets named in `against`, separated by commas."""
    tests = HeldOut.load(against, data_dir)
    return mixture.without({hit["row"] for hit in contamination(mixture, tests)}, "contaminated")


def units(text: str) -> list[str]:
    """The words of a text, and the characters of its scripts without spaces, without case, width and punctuation."""
    return UNIT.findall(unicodedata.normalize("NFKC", text).casefold())


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    parts = units(text)
    n = CHARACTERS if 2 * sum(map(bool, map(SINGLE.match, parts))) > len(parts) else WORDS
    return (tuple(parts[i : i + n]) for i in range(len(parts) - n + 1))
