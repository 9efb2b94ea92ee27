"""From a mixture's text to its records: aliases resolved, scripts run, rows drawn, everything concatenated."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import numpy as np

from xllm import HOME
from xllm.errors import XllmError, unknown
from xllm.mixture.draw import Pick, resize, take
from xllm.mixture.grammar import Term, parse
from xllm.mixture.scripts import Source, data_root, load, scripts
from xllm.records import read_json


@dataclass(frozen=True)
class Draw:
    """What, besides its text, decides which rows a mixture has."""

    seed: int = 42
    mix_rows: int | None = None  # rows in all; None: as many as the terms have
    mix_temperature: float = 1.0  # T: each dataset gets a share of nᵢ^(1/T)

    def __post_init__(self) -> None:
        if self.mix_rows is not None and self.mix_rows < 1:
            raise XllmError(f"--mix_rows {self.mix_rows}: it must be 1 or more")
        if not self.mix_temperature > 0:
            raise XllmError(f"--mix_temperature {self.mix_temperature}: it must be above 0")


@dataclass(frozen=True)
class Mixture:
    """The records of a mixture, and where they came from.

    `rows` has the record's columns, `answers` where a dataset has several gold answers, and `from`. `terms` says of
    each dataset that took part: `from`, `rows`, `task`, `language` (of the outputs), `source_language` (of parallel
    text) and `sha256` of every file.
    """

    text: str
    split: str
    draw: Draw
    rows: datasets.Dataset
    terms: list[dict]

    def __str__(self) -> str:
        lines = []
        for term in self.terms:
            out = ", ".join(f"{count} {reason}" for reason, count in term.get("left_out", {}).items() if count)
            lines.append(f"{term['from']}: {term['rows']} rows" + (f" (left out: {out})" if out else ""))
        return "\n".join(lines)

    def without(self, rows: set[int], reason: str) -> "Mixture":
        """The mixture without some of its rows, given by number; each of `terms` counts its own in `left_out`.

        Raises XllmError where no row is left.
        """
        names = self.rows["from"]
        counts = Counter(names[row] for row in rows)
        if len(rows) == len(self.rows):
            raise XllmError(f"no row of {self.text} is left: all are {reason}")
        terms = [
            {
                **term,
                "rows": term["rows"] - counts[term["from"]],
                "left_out": {**term.get("left_out", {}), reason: counts[term["from"]]},
            }
            for term in self.terms
        ]
        kept = self.rows.select([row for row in range(len(self.rows)) if row not in rows])
        return replace(self, rows=kept, terms=terms)

    def facts(self) -> dict:
        """What determines the mixture, for run.json and for a lockfile."""
        return {"text": self.text, "split": self.split, **vars(self.draw), "rows": len(self.rows), "terms": self.terms}


def load_mixture(text: str, split: str, data_dir: str | None = None, draw: Draw | None = None) -> Mixture:
    """Load a mixture such as "alpaca_en+alpaca_zh[:1000]*2". Raises XllmError for any mistake in it or its files."""
    root, draw = data_root(data_dir), draw or Draw()
    known, aliases = scripts(root), load_aliases(root)
    plan = [resolve(term, known, aliases) for term in parse(text)]  # every name is checked before a file is opened
    sources: dict[str, Source] = {}
    picks = [pick for part in plan for pick in _pick(part, split, root, sources, draw.seed)]
    if draw.mix_rows is not None or draw.mix_temperature != 1:
        picks = resize(picks, draw.mix_rows, draw.mix_temperature, draw.seed)
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
    return Mixture(text, split, draw, _concatenate([_rows(pick, sources) for pick in picks]), terms)


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
        picks = [Pick(name, np.arange(len(sources[name].rows)))]
    count = sum(len(pick.rows) for pick in picks)
    picks = take(part.term, picks, seed)
    if not picks:
        raise XllmError(f"the mixture is empty at {str(part.term)!r}: of {count} rows ({split}) it takes none")
    return picks


def _rows(pick: Pick, sources: dict[str, Source]) -> datasets.Dataset:
    rows = sources[pick.name].rows
    rows = rows.add_column("from", [pick.name] * len(rows))
    return rows if np.array_equal(pick.rows, np.arange(len(rows))) else rows.select(pick.rows)


def _concatenate(parts: list[datasets.Dataset]) -> datasets.Dataset:
    if any("answers" in rows.column_names for rows in parts):
        parts = [rows if "answers" in rows.column_names else _with_answers(rows) for rows in parts]
    return datasets.concatenate_datasets(parts)


def _with_answers(rows: datasets.Dataset) -> datasets.Dataset:
    answers = datasets.Features({"answers": datasets.List(datasets.Value("string"))})
    column = datasets.Dataset.from_dict({"answers": [[output] for output in rows["output"]]}, features=answers)
    return datasets.concatenate_datasets([rows.remove_columns("from"), column, rows.select_columns("from")], axis=1)
