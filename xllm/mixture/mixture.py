"""A mixture: the records that were drawn, and what determines them."""

from collections.abc import Iterator
from dataclasses import dataclass

import datasets

from xllm.errors import XllmError


@dataclass(frozen=True)
class Selection:
    """What, besides its text, decides which rows a mixture has."""

    seed: int = 42
    mix_rows: int | None = None  # rows in all; None: as many as the terms have
    mix_temperature: float = 1.0  # T: each dataset gets a share of nᵢ^(1/T)
    filter_parallel: bool = False  # leave out flawed pairs of parallel text
    drop_contaminated: str | None = None  # leave out rows that overlap with these test sets, separated by commas

    def __post_init__(self) -> None:
        if self.mix_rows is not None and self.mix_rows < 1:
            raise XllmError(f"--mix_rows {self.mix_rows}: it must be 1 or more")
        if not self.mix_temperature > 0:
            raise XllmError(f"--mix_temperature {self.mix_temperature}: it must be above 0")


@dataclass(frozen=True)
class Mixture:
    """The records of a mixture, and where they came from.

    `parts` are the rows that were drawn, in order, each with the name of its dataset: the record's columns, and
    `answers` or `labels` where the dataset has them. They stay in files, whatever their number. `terms` says of each
    dataset that took part: `from`, `rows`, `task`, `language` (of the outputs; of the inputs where these are labels),
    `source_language` (of parallel text) and `sha256` of every file. `tests` are the test sets with which no row may
    overlap.
    """

    text: str
    split: str
    selection: Selection
    parts: list[tuple[str, datasets.Dataset]]
    terms: list[dict]
    tests: list["Mixture"]

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self.parts)

    def __iter__(self) -> Iterator[dict]:
        """Every record, with `from`."""
        for name, rows in self.parts:
            for row in rows:
                yield {**row, "from": name}

    def __getitem__(self, number: int) -> dict:
        """One record, with `from`."""
        for name, rows in self.parts:
            if number < len(rows):
                return {**rows[number], "from": name}
            number -= len(rows)
        raise IndexError(number)

    def __str__(self) -> str:
        return "\n".join(f"{term['from']}: {term['rows']} rows" for term in self.terms)

    def facts(self) -> dict:
        """What determines the mixture, for run.json and for a lockfile. Its rows are those before any is left out."""
        return {
            "text": self.text,
            "split": self.split,
            **vars(self.selection),
            "rows": len(self),
            "terms": self.terms,
            "tests": [term for test in self.tests for term in test.terms],
        }
