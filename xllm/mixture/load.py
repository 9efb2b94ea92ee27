"""From a mixture's text to its records: aliases resolved, scripts run, rows drawn, everything concatenated."""

from collections import Counter
from pathlib import Path

import datasets

from xllm import cache, places
from xllm.errors import XllmError
from xllm.loading.scripts import NotThere, Source, load, scripts
from xllm.mixture.aliases import Part, leaves, load_aliases, resolve
from xllm.mixture.draw import Pick, resize, take
from xllm.mixture.grammar import parse
from xllm.mixture.mixture import DatasetFacts, Mixture, Selection


def load_mixture(text: str, split: str, data_dir: str | None = None, selection: Selection | None = None) -> Mixture:
    """Load a mixture such as "alpaca_en+alpaca_zh[:1000]*2". Raises XllmError for any mistake in it or its files."""
    root, selection = places.data_root(data_dir), selection or Selection()
    known, aliases = scripts(root), load_aliases(root)
    plan = [resolve(term, known, aliases) for term in parse(text)]  # every name is checked before a file is opened
    cache.check()
    sources = _sources(text, plan, split, root)
    picks = [pick for part in plan for pick in _pick(part, split, sources, selection.seed)]
    if selection.mix_rows is not None or selection.mix_temperature != 1:
        picks = resize(picks, selection.mix_rows, selection.mix_temperature, selection.seed)
    counts: Counter[str] = Counter()
    for pick in picks:
        counts[pick.name] += len(pick.rows)
    terms = [
        DatasetFacts(name, counts[name], source.task, source.source_language, source.language, source.hashes)
        for name, source in sources.items()
        if counts[name]
    ]
    parts = [(pick.name, _rows(pick, sources)) for pick in picks]
    return Mixture(text, split, selection, parts, terms, load_tests(selection.drop_contaminated, data_dir))


def load_tests(names: str | None, data_dir: str | None) -> list[Mixture]:
    """The test sets with these names, which commas separate."""
    return [load_mixture(name, "test", data_dir) for name in names.split(",")] if names else []


def _sources(text: str, plan: list[Part], split: str, root: Path) -> dict[str, Source]:
    """Every dataset of a mixture by its name. Raises XllmError, naming all that aren't on the disk."""
    parts = {part.term.name: part for whole in plan for part in leaves(whole)}
    tried = {name: _try(part, split, root) for name, part in parts.items()}
    lacking = {name: own for name, own in tried.items() if isinstance(own, NotThere)}
    found = {name: own for name, own in tried.items() if isinstance(own, Source)}
    if not lacking:
        return found
    first, several = next(iter(lacking.values())), len(lacking) > 1
    if not several and not any(part.parts for part in plan):
        raise first
    missing = f"{len(lacking)} of its {len(parts)} datasets {'are' if several else 'is'} missing"
    raise XllmError(f"{text}: {missing}: {', '.join(lacking)}; {first}") from first


def _try(part: Part, split: str, root: Path) -> Source | NotThere:
    try:
        return load(part.dataset, part.config, split, root)
    except NotThere as error:
        return error


def _pick(part: Part, split: str, sources: dict[str, Source], seed: int) -> list[Pick]:
    """The rows of a part."""
    if part.parts:
        picks = [pick for inner in part.parts for pick in _pick(inner, split, sources, seed)]
    else:
        name = part.term.name
        picks = [Pick(name, range(len(sources[name].rows)))]
    count = sum(len(pick.rows) for pick in picks)
    picks = take(part.term, picks, seed)
    if not picks:
        raise XllmError(f"the mixture is empty at {str(part.term)!r}: of {count} rows ({split}) it takes none")
    return picks


def _rows(pick: Pick, sources: dict[str, Source]) -> datasets.Dataset:
    rows = sources[pick.name].rows
    return rows if isinstance(pick.rows, range) and len(pick.rows) == len(rows) else rows.select(pick.rows)
