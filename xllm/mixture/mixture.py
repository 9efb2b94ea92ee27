"""A mixture: the records that were drawn, and what determines them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import datasets

from xllm.errors import XllmError
from xllm.records import Row


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
class DatasetFacts:
    """What a mixture says of a dataset that took part."""

    name: str  # what its rows come `from`
    rows: int
    task: str | None  # how answers are scored
    source_language: str | None  # the language of the inputs, of parallel text
    language: str | None  # of the outputs, or of the inputs where the outputs are labels
    sha256: dict[str, str]  # of its script and of each raw file, by path below the data root
    left_out: dict[str, int] = field(default_factory=dict)  # rows, by reason; empty where the mixture filters nothing

    def facts(self) -> dict[str, Any]:
        """What determines its rows, for JSON."""
        return {
            "from": self.name,
            "rows": self.rows,
            "task": self.task,
            "source_language": self.source_language,
            "language": self.language,
            "sha256": self.sha256,
        }

    def counts(self) -> dict[str, Any]:
        """How many rows it has, and how many were left out, for JSON and for tables."""
        left_out = {"left_out": self.left_out} if self.left_out else {}
        return {"from": self.name, "language": self.language, **left_out, "rows": self.rows}


@dataclass(frozen=True)
class Mixture:
    """The records of a mixture, and where they came from.

    `parts` are the rows that were drawn, in order, each with the name of its dataset: the record's columns, and
    `answers` or `labels` where the dataset has them. They stay in files, whatever their number. `terms` are the
    datasets that took part, `tests` the test sets with which no row may overlap.
    """

    text: str
    split: str
    selection: Selection
    parts: list[tuple[str, datasets.Dataset]]
    terms: list[DatasetFacts]
    tests: list["Mixture"]

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self.parts)

    def __iter__(self) -> Iterator[Row]:
        """Every record, with `from`."""
        for name, rows in self.parts:
            for row in rows:
                yield cast(Row, {**row, "from": name})

    def __getitem__(self, number: int) -> Row:
        """One record, with `from`."""
        for name, rows in self.parts:
            if number < len(rows):
                return cast(Row, {**rows[number], "from": name})
            number -= len(rows)
        raise IndexError(number)

    def __str__(self) -> str:
        return "\n".join(f"{term.name}: {term.rows} rows" for term in self.terms)

    def facts(self) -> dict[str, Any]:
        """What determines the mixture, for run.json and for a lockfile. Its rows are those before any is left out."""
        return {
            "text": self.text,
            "split": self.split,
            **vars(self.selection),
            "rows": len(self),
            "terms": [term.facts() for term in self.terms],
            "tests": [term.facts() for test in self.tests for term in test.terms],
        }
