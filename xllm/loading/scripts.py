"""Running loading scripts: `data/<name>/<name>.py`, one `datasets.GeneratorBasedBuilder` each.

`datasets.load_dataset` has refused scripts since version 4, so the builder class is imported and run here. What it
prepares goes into the cache of `datasets`, under a key made of the script and the raw files it reads.
"""

import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import datasets

from xllm import cache, files, languages, packages, places, prompts, records
from xllm.errors import XllmError, unknown
from xllm.loading import multiple_choice, pairs, squad
from xllm.records import COLUMNS

TEXT = datasets.Value("string")
LISTS = ("answers", "labels")  # a record's further columns, lists of strings
# the key of a builder that is asked only which files it reads: without one, `datasets` takes the folder in which all
# keys lie for its own, and removes it where it is empty, though another process may be about to write there
PROBE = "probe"
# what decides, beside a script and its raw files, which rows there are
CODE = (files, languages, multiple_choice, pairs, prompts, records, squad, sys.modules[__name__])


class NotThere(XllmError):
    """A raw file that a dataset reads isn't on the disk."""


@dataclass(frozen=True)
class Source:
    """One split of one dataset."""

    task: str | None  # how answers are scored: the script's TASK, as "translation"
    source_language: str | None  # the language of the inputs, of parallel text
    language: str | None  # the language of the outputs, or of the inputs where the outputs are labels
    rows: datasets.Dataset  # the record's columns, and those of LISTS that the script gives
    hashes: dict[str, str]  # path below the data root → sha256, of the script and of each raw file


def scripts(root: Path) -> dict[str, Path]:
    """The loading script of each dataset: those of this package, and, winning over them, those of the data root."""
    paths = [path for home in (places.own_data(), root) for path in sorted(home.glob("*/*.py"))]
    return {path.stem: path for path in paths if path.stem == path.parent.name}


def load(name: str, config: str, split: str, root: Path) -> Source:
    """Run a dataset's script for one split. Raises XllmError for whatever is wrong with the script or its files."""
    script = scripts(root)[name]
    homepage = ""
    try:
        builder = _builder_class(script)
        probe = _build(builder, config, root / name, PROBE)
        homepage = probe.info.homepage
        generator = _choose(probe, split)
        code = sorted(script.parent.glob("*.py"))  # the script, and modules that it may import
        hashes = {f"{name}/{path.name}": cache.sha256(path) for path in code}
        hashes |= {_below(root, path): cache.sha256(path) for path in _raw_files(generator, root / name)}
        rows = _records(_prepare(builder, generator, config, root / name, hashes), script)
    except (Exception, SystemExit) as error:  # a script is anybody's code: whatever it raises is told in one line
        raise _explain(error, f"{name}_{config}", script, root, homepage) from error
    return Source(
        task=getattr(probe, "TASK", None),
        source_language=getattr(probe.config, "source_language", None),
        language=getattr(probe.config, "language", None),
        rows=rows,
        hashes=hashes,
    )


def _builder_class(script: Path) -> type[datasets.GeneratorBasedBuilder]:
    # in a package, so that it may import modules beside it: from .x import y
    home = ModuleType(f"xllm_script_{script.stem}")
    home.__path__ = [str(script.parent)]
    name = f"{home.__name__}.{script.stem}"
    for stale in [known for known in sys.modules if known.startswith(f"{home.__name__}.")]:
        del sys.modules[stale]
    spec = importlib.util.spec_from_file_location(name, script)
    assert spec is not None and spec.loader is not None  # of a file that is there
    sys.modules[home.__name__] = home
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, datasets.GeneratorBasedBuilder) and value.__module__ == name
    ]
    if len(classes) != 1:
        raise XllmError(f"{script} must define one GeneratorBasedBuilder; it defines {len(classes)}")
    return classes[0]


def _build(
    builder: type[datasets.GeneratorBasedBuilder], config: str, folder: Path, key: str
) -> datasets.GeneratorBasedBuilder:
    where = {"dataset_name": folder.name, "base_path": str(folder), "hash": key}
    if "config" in inspect.signature(builder.BUILDER_CONFIG_CLASS.__init__).parameters:
        builder.BUILDER_CONFIGS = []  # where a script lists a single one, `datasets` would take that and not ours
        return builder(config=config, **where)
    return builder(config_name=config, **where)


def _choose(builder: datasets.GeneratorBasedBuilder, split: str) -> datasets.SplitGenerator:
    downloads = datasets.DownloadManager(dataset_name=builder.dataset_name, base_path=builder.base_path)
    # the method that every script writes; what calls it in public prepares all splits, and the others may have no files
    found = builder._split_generators(downloads)  # noqa: SLF001
    generators = {str(generator.name): generator for generator in found}
    if split not in generators:
        raise unknown("split", split, generators)
    return generators[split]


def _raw_files(generator: datasets.SplitGenerator, folder: Path) -> list[Path]:
    """The files that a split reads: those that its arguments name, as a file, a folder, or up to the ending (a script
    may pass `…/train` and open train.en and train.zh); where they name none, every file of the dataset's folder."""
    named = [Path(text) for text in _strings(generator.gen_kwargs) if os.sep in text] or [folder]
    found = {path for start in named for path in [start, *start.parent.glob(f"{start.name}.*"), *start.rglob("*")]}
    return sorted(path for path in found if path.is_file())


def _below(root: Path, path: Path) -> str:
    """A file's path as a lockfile names it: from the data root on, so that it says the same on another machine."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, (str, os.PathLike)):
        yield os.fspath(value)
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _strings(part)


def _prepare(
    builder: type[datasets.GeneratorBasedBuilder],
    generator: datasets.SplitGenerator,
    config: str,
    folder: Path,
    hashes: dict[str, str],
) -> datasets.Dataset:
    """The rows of one split, from the cache where nothing that determines them has changed."""
    split = str(generator.name)
    # the other splits may have no files
    one = type(builder.__name__, (builder,), {"_split_generators": lambda *_: [generator]})
    prepared = _build(one, config, folder, cache.key(CODE, split, sorted(hashes.items())))
    prepared.download_and_prepare(verification_mode="no_checks")
    if not prepared.info.splits[split].num_examples:  # which `as_dataset` refuses
        return datasets.Dataset.from_dict({column: [] for column in prepared.info.features}, prepared.info.features)
    return prepared.as_dataset(split=split)


def _records(rows: datasets.Dataset, script: Path) -> datasets.Dataset:
    missing = [column for column in COLUMNS if column not in rows.column_names]
    if missing:
        raise XllmError(f"{script} gives no column {', '.join(missing)}; it gives {', '.join(rows.column_names)}")
    features = {column: TEXT for column in COLUMNS}
    features |= {column: datasets.List(TEXT) for column in LISTS if column in rows.column_names}
    for column in COLUMNS:
        if nulls := rows.data[column].null_count:
            raise XllmError(f"{nulls} rows have no {column!r} (null); a record's columns are strings")
    rows = rows.select_columns(list(features))
    rows = rows if rows.features == features else rows.cast(datasets.Features(features))
    if "labels" in features:
        _check_labels(rows)
    return rows


def _check_labels(rows: datasets.Dataset) -> None:
    number = 0
    for batch in rows.select_columns(["output", "labels"]).iter(1000):
        for output, labels in zip(batch["output"], batch["labels"], strict=True):
            number += 1
            told = {label.strip() for label in labels or ()}  # answers are compared without the blanks around them
            if not told or any(map(languages.blank, told)) or len(told) < len(labels):
                raise XllmError(f"row {number}: its labels are {labels}; they must be texts that differ, none empty")
            if output and output not in labels:
                raise XllmError(f"row {number}: its output is {output!r}, which is none of its labels {labels}")


def _explain(error: BaseException, term: str, script: Path, root: Path, homepage: str | None) -> XllmError:
    while error.__cause__ is not None and not isinstance(error, XllmError):
        error = error.__cause__  # `datasets` wraps what a generator raises
    if isinstance(error, XllmError):
        return error if term in str(error) else XllmError(f"{term}: {error}")
    if isinstance(error, OSError) and cache.is_at_fault(error):
        return cache.unusable(error)
    if isinstance(error, FileNotFoundError) and error.filename:
        return NotThere(_missing(term, Path(error.filename), root) + (f"; to get it: {homepage}" if homepage else ""))
    if isinstance(error, ImportError) and (what := _unimported(error, script)):
        return XllmError(f"{term}: {script} can't run: {what}")
    return XllmError(f"{term}: {script} failed: {type(error).__name__}: {error}")


def _unimported(error: ImportError, script: Path) -> str | None:
    """What a script's import lacks, and what mends it."""
    module = error.name or ""
    if isinstance(error, ModuleNotFoundError) and module.startswith("xllm_script_"):
        return f"it imports {module.partition('.')[2]}, and there is no {module.rpartition('.')[2]}.py beside it"
    if isinstance(error, ModuleNotFoundError) and (script.parent / f"{module}.py").exists():
        return f"it imports {module}, which is beside it; write: from . import {module}"
    return packages.missing(error)


def _missing(term: str, path: Path, root: Path) -> str:
    if not root.is_dir():
        return f"{term}: raw file not found: {path} (there is no {root}; XLLM_DATA_DIR or --data_dir names a data root)"
    first = path
    while not first.parent.exists():
        first = first.parent
    near = sorted(sibling.name for sibling in first.parent.iterdir()) if first.parent.is_dir() else []
    hint = str(unknown("name", first.name, near)).partition("; ")[2]
    return f"{term}: raw file not found: {path} (in {first.parent}: {hint})"
