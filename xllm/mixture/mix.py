"""From a mixture's text to its records: aliases resolved, scripts run, rows drawn, everything concatenated."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import datasets
import numpy as np

from xllm import HOME
from xllm.errors import XllmError, unknown
from xllm.mixture import overlap, quality
from xllm.mixture.draw import Pick, resize, take
from xllm.mixture.grammar import Term, parse
from xllm.mixture.scripts import Source, data_root, load, scripts
from xllm.records import read_json


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

    @cached_property
    def kept(self) -> "Mixture":
        """The mixture without what its selection leaves out; each of `terms` counts that in `left_out`."""
        kept = self
        if self.selection.filter_parallel:
            kept = kept._without(quality.flaws(kept) > 0, "flawed")
        if self.tests:
            hits = overlap.contamination(kept, overlap.HeldOut(self.tests))
            out = np.zeros(len(kept), bool)
            out[[hit["row"] for hit in hits]] = True
            kept = kept._without(out, "contaminated")
        return kept

    def _without(self, out: np.ndarray, reason: str) -> "Mixture":
        """The mixture without the rows for which `out`, one boolean a row, is true."""
        parts, counts, start = [], Counter(), 0
        for name, rows in self.parts:
            own = out[start : start + len(rows)]
            start += len(rows)
            counts[name] += int(own.sum())
            if not own.all():
                parts.append((name, rows.select(np.flatnonzero(~own)) if own.any() else rows))
        if not parts:
            raise XllmError(f"no row of {self.text} is left: all are {reason}")
        terms = [
            {
                **term,
                "rows": term["rows"] - counts[term["from"]],
                "left_out": {**term.get("left_out", {}), reason: counts[term["from"]]},
            }
            for term in self.terms
        ]
        return replace(self, parts=parts, terms=terms)

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


def load_mixture(text: str, split: str, data_dir: str | None = None, selection: Selection | None = None) -> Mixture:
    """Load a mixture such as "alpaca_en+alpaca_zh[:1000]*2". Raises XllmError for any mistake in it or its files."""
    root, selection = data_root(data_dir), selection or Selection()
    known, aliases = scripts(root), load_aliases(root)
    plan = [resolve(term, known, aliases) for term in parse(text)]  # every name is checked before a file is opened
    sources: dict[str, Source] = {}
    picks = [pick for part in plan for pick in _pick(part, split, root, sources, selection.seed)]
    if selection.mix_rows is not None or selection.mix_temperature != 1:
        picks = resize(picks, selection.mix_rows, selection.mix_temperature, selection.seed)
    counts = Counter()
    for pick in picks:
        counts[pick.name] += len(pick.rows)
    terms = [
        {
            "from": name,
            "rows": counts[name],
            "task": source.task,
            "source_language": source.source_language,
            "language": source.language,
            "sha256": source.hashes,
        }
        for name, source in sources.items()
        if counts[name]
    ]
    parts = [(pick.name, _rows(pick, sources)) for pick in picks]
    return Mixture(text, split, selection, parts, terms, load_tests(selection.drop_contaminated, data_dir))


def load_tests(names: str | None, data_dir: str | None) -> list[Mixture]:
    """The test sets with these names, which commas separate."""
    return [load_mixture(name, "test", data_dir) for name in names.split(",")] if names else []


@dataclass(frozen=True)
class Part:
    """A term whose name is known: a dataset and its config, or an alias and its parts."""

    term: Term
    dataset: str = ""
    config: str = ""
    parts: tuple["Part", ...] = ()


def load_aliases(root: Path) -> dict[str, str]:
    """Short names for mixtures, from alias/alias.json of the checkout and, winning over that, of the data root."""
    found: dict[str, str] = {}
    for path in dict.fromkeys([HOME / "data" / "alias" / "alias.json", root / "alias" / "alias.json"]):
        if path.exists():
            aliases = read_json(path)
            if not isinstance(aliases, dict) or not all(isinstance(text, str) for text in aliases.values()):
                raise XllmError(f"{path} must hold one JSON object, alias names to mixtures")
            found |= aliases
    return found


def resolve(term: Term, known: dict[str, Path], aliases: dict[str, str], path: tuple[str, ...] = ()) -> Part:
    """Find out what a term names: `alias_NAME` or NAME for an alias, else the longest dataset name that fits."""
    alias = term.name if term.name in aliases else term.name.removeprefix("alias_")
    if alias in aliases:
        if alias in path:
            raise XllmError("aliases form a cycle: " + " → ".join([*path[path.index(alias) :], alias]))
        inner = [resolve(part, known, aliases, (*path, alias)) for part in parse(aliases[alias])]
        return Part(term, parts=tuple(inner))
    if term.name.startswith("alias_"):
        raise unknown("alias", alias, aliases, "aliases stand in alias/alias.json of the data root")
    fitting = [name for name in known if term.name.startswith(name + "_") and len(term.name) > len(name) + 1]
    if not fitting:
        if term.name.rstrip("_") in known:
            raise XllmError(f"{term.name!r} names no config: write {term.name.rstrip('_')}_CONFIG, as alpaca_en")
        raise unknown("dataset", term.name.partition("_")[0], [*known, *aliases], f"in {term.name!r}")
    dataset = max(fitting, key=len)
    return Part(term, dataset, term.name[len(dataset) + 1 :])


def _pick(part: Part, split: str, root: Path, sources: dict[str, Source], seed: int) -> list[Pick]:
    """The rows of a part; a dataset that is met for the first time is loaded into `sources`."""
    if part.parts:
        picks = [pick for inner in part.parts for pick in _pick(inner, split, root, sources, seed)]
    else:
        name = part.term.name
        if name not in sources:
            sources[name] = load(part.dataset, part.config, split, root)
        picks = [Pick(name, range(len(sources[name].rows)))]
    count = sum(len(pick.rows) for pick in picks)
    picks = take(part.term, picks, seed)
    if not picks:
        raise XllmError(f"the mixture is empty at {str(part.term)!r}: of {count} rows ({split}) it takes none")
    return picks


def _rows(pick: Pick, sources: dict[str, Source]) -> datasets.Dataset:
    rows = sources[pick.name].rows
    return rows if isinstance(pick.rows, range) and len(pick.rows) == len(rows) else rows.select(pick.rows)
