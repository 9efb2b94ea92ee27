"""From a mixture's text to its records: aliases resolved, scripts run, rows drawn, everything concatenated."""

from collections import Counter
from pathlib import Path

import datasets

from xllm import cache, places
from xllm.errors import XllmError
from xllm.loading.scripts import Source, load, scripts
from xllm.mixture.aliases import Part, load_aliases, resolve
from xllm.mixture.draw import Pick, resize, take
from xllm.mixture.grammar import parse
from xllm.mixture.mixture import DatasetFacts, Mixture, Selection


def load_mixture(text: str, split: str, data_dir: str | None = None, selection: Selection | None = None) -> Mixture:
    """Load a mixture such as "alpaca_en+alpaca_zh[:1000]*2". Raises XllmError for any mistake in it or its files."""
    root, selection = places.data_root(data_dir), selection or Selection()
    known, aliases = scripts(root), load_aliases(root)
    plan = [resolve(term, known, aliases) for term in parse(text)]  # every name is checked before a file is opened
    cache.check()
    sources: dict[str, Source] = {}
    picks = [pick for part in plan for pick in _pick(part, split, root, sources, selection.seed)]
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
