"""From a mixture's text to its records: aliases resolved, scripts run, slices taken, everything concatenated."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import datasets

from xllm import HOME
from xllm.errors import XllmError, unknown
from xllm.mixture.grammar import Term, parse
from xllm.mixture.scripts import data_root, load, scripts
from xllm.records import read_json


@dataclass(frozen=True)
class Mixture:
    """The records of a mixture, and where they came from.

    `rows` has the record's columns, `answers` where a dataset has several gold answers, and `from`. `terms` says of
    each dataset that took part: `from`, `rows`, `task`, `language` (of the outputs) and `sha256` of every file.
    """

    text: str
    rows: datasets.Dataset
    terms: list[dict]

    def __str__(self) -> str:
        return "\n".join(f"{term['from']}: {term['rows']} rows" for term in self.terms)


def load_mixture(text: str, split: str, data_dir: str | None = None) -> Mixture:
    """Load a mixture such as "alpaca_en+alpaca_zh[:1000]". Raises XllmError for any mistake in it or its files."""
    root = data_root(data_dir)
    known, aliases = scripts(root), load_aliases(root)
    plan = [resolve(term, known, aliases) for term in parse(text)]  # every name is checked before a file is opened
    terms: dict[str, dict] = {}
    rows = _concatenate([_load(part, split, root, terms) for part in plan])
    counts = Counter(rows["from"])
    return Mixture(text, rows, [{**term, "rows": counts[name]} for name, term in terms.items() if counts[name]])


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


def _load(part: Part, split: str, root: Path, terms: dict[str, dict]) -> datasets.Dataset:
    if part.parts:
        rows = _concatenate([_load(inner, split, root, terms) for inner in part.parts])
    else:
        source = load(part.dataset, part.config, split, root)
        rows = source.rows.add_column("from", [part.term.name] * len(source.rows))
        terms[part.term.name] = {
            "from": part.term.name,
            "task": source.task,
            "language": source.language,
            "sha256": source.hashes,
        }
    picked = part.term.rows(len(rows))
    if not picked:
        raise XllmError(f"the mixture is empty at {str(part.term)!r}: of {len(rows)} rows ({split}) it takes none")
    return rows.select(picked)


def _concatenate(parts: list[datasets.Dataset]) -> datasets.Dataset:
    if any("answers" in rows.column_names for rows in parts):
        parts = [rows if "answers" in rows.column_names else _with_answers(rows) for rows in parts]
    return datasets.concatenate_datasets(parts)


def _with_answers(rows: datasets.Dataset) -> datasets.Dataset:
    answers = datasets.Features({"answers": datasets.List(datasets.Value("string"))})
    column = datasets.Dataset.from_dict({"answers": [[output] for output in rows["output"]]}, features=answers)
    return datasets.concatenate_datasets([rows.remove_columns("from"), column, rows.select_columns("from")], axis=1)
