"""Records and the files that hold them.

A record has four strings, `id`, `instruction`, `input`, `output`. Datasets with several accepted answers add a
fifth column, `answers` (a list of strings, `output` being its first); the mixer adds `from` (the term that the
record came from) and inference adds `prediction`.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xllm.errors import XllmError

COLUMNS = ("id", "instruction", "input", "output")
LONGEST_NAME = 255  # bytes in a file's name, on every file system in common use


def check_name(path: Path) -> Path:
    """Return `path`, or raise XllmError where its last part is too long to be a file's name."""
    size = len(path.name.encode())
    if size > LONGEST_NAME:
        raise XllmError(
            f"the name {path.name[:60]!r}… has {size} bytes, {LONGEST_NAME} at most: "
            "give the mixture a short name in data/alias/alias.json and use that"
        )
    return path


def partial(path: Path) -> Path:
    """Where `path` is written before it is whole: beside it, under a name that is short and always the same."""
    return path.with_name(f".{hashlib.sha1(path.name.encode()).hexdigest()[:12]}.partial")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a place beside `path` to write a file or a folder to; it becomes `path` only if the block ends well."""
    place = partial(check_name(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(place)
    try:
        yield place
        _open_to_readers(place)
        place.replace(path)
    finally:
        remove(place)


def _open_to_readers(place: Path) -> None:
    """Give files the permissions that the umask grants: some libraries write theirs for the owner alone."""
    umask = os.umask(0)
    os.umask(umask)
    for file in [place, *place.rglob("*")] if place.is_dir() else [place]:
        file.chmod((0o777 if file.is_dir() else 0o666) & ~umask)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The sha256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_text(path: Path | str) -> str:
    """The text of a UTF-8 file, its line ends as they are. Raises XllmError where it isn't UTF-8."""
    try:
        return Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise XllmError(f"{path} isn't UTF-8: {error.reason} at byte {error.start}") from None


def read_json(path: Path | str) -> object:
    """The value in a JSON file. Raises XllmError naming file and line, FileNotFoundError where there is none."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise XllmError(f"malformed JSON: {path}, line {error.lineno}: {error.msg}") from None


def read_jsonl(path: Path | str) -> list[dict]:
    """The objects of a JSON Lines file, blank lines left out. Raises as `read_json` does."""
    rows = []
    # split on "\n" alone: a JSON string may hold U+2028 and its kin, where str.splitlines would cut
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise XllmError(f"malformed JSON: {path}, line {number}: {error.msg}") from None
    return rows


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path`, whole or not at all."""
    with whole(path) as place:
        place.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def write_jsonl(path: Path, rows: Iterable[dict]) -> None:
    """Write one JSON object a line to `path`, whole or not at all."""
    with whole(path) as place, place.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
