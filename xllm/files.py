"""Files: read with a message that names the line, written whole or not at all."""

import gzip
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from xllm import locks
from xllm.errors import XllmError

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
    """Give a place beside `path` to write a file or a folder to; it becomes `path` only if the block ends well.

    Raises XllmError where another process is writing it."""
    place = partial(check_name(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(place.with_suffix(".lock.partial"), f"writing {path}"):
        remove(place)
        try:
            yield place
            open_to_readers(place)
            place.replace(path)
        finally:
            remove(place)


def open_to_readers(place: Path) -> None:
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


def sync(folder: Path) -> None:
    """Let all that a folder holds, and its names, outlive the machine."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256(path: Path) -> str:
    """The sha256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_lines(path: Path | str) -> Iterator[str]:
    """The lines of a text file, one at a time, without their ends; "\\n" alone (or "\\r\\n") ends a line, since a
    sentence may hold U+2028 and its kin. A file named .gz is unpacked. Raises XllmError, naming file and line, for what
    isn't UTF-8 text."""
    with Path(path).open("rb") as file:
        for number, line in enumerate(_unpacked(file, path), start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                reason = f"{error.reason} (byte 0x{line[error.start]:02x})"
                raise XllmError(f"{path}, line {number} isn't UTF-8: {reason}; convert it: iconv -t UTF-8") from None
            if "\0" in text:
                raise XllmError(f"{path}, line {number} holds a NUL character; is the file UTF-16, or not text at all?")
            yield text.removesuffix("\n").removesuffix("\r")


def _unpacked(file: BinaryIO, path: Path | str) -> Iterator[bytes]:
    if not str(path).endswith(".gz"):
        yield from file
        return
    try:
        with gzip.open(file) as inner:
            yield from inner
    except (OSError, EOFError, zlib.error) as error:
        raise XllmError(f"{path} isn't a whole gzip file: {error}") from None


def read_json(path: Path | str) -> Any:
    """The value in a JSON file. Raises XllmError naming file and line, FileNotFoundError where there is none."""
    return parse_json("\n".join(read_lines(path)), path)


def read_jsonl(path: Path | str) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file, blank lines left out. Raises as `read_json` does."""
    return [parse_json(line, path, number) for number, line in enumerate(read_lines(path)) if line.strip()]


def parse_json(text: str, path: Path | str, lines_before: int = 0, pairs: Callable[[Any], Any] | None = None) -> Any:
    """The value of a JSON text that a file holds after so many lines; `pairs` makes objects of their names and values.
    Raises XllmError, as `read_json` does."""
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise XllmError(f"malformed JSON: {path}, line {lines_before + error.lineno}: {error.msg}") from None
    except RecursionError:
        raise XllmError(f"malformed JSON: {path}: nested too deeply") from None


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path`, whole or not at all."""
    with whole(path) as place:
        place.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line to `path`, whole or not at all."""
    with whole(path) as place, place.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
