"""Records and the files that hold them.

A record has four strings, `id`, `instruction`, `input`, `output`. Datasets with several accepted answers add a
fifth column, `answers` (a list of strings, `output` being its first); those with a closed set of answers add `labels`
(a list of strings, one of which is `output`, or "" where the right one isn't published). The mixer adds `from` (the
term that the record came from) and inference adds `prediction`.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from xllm.errors import XllmError

COLUMNS = ("id", "instruction", "input", "output")


def ids_sha256(rows: Iterable[dict]) -> str:
    """A digest of which rows these are, and in which order."""
    keys = [[row.get("from"), row.get("id")] for row in rows]
    return hashlib.sha256(json.dumps(keys).encode()).hexdigest()


def encodable(text: str) -> bool:
    """Whether a text can be written: JSON can hold half of a surrogate pair, which is no character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def strings(rows: object, columns: Iterable[str], path: Path | str) -> Iterator[dict[str, str]]:
    """These columns of a JSON file's rows. Raises XllmError, naming file and row, where one is missing or no text."""
    if not isinstance(rows, list):
        raise XllmError(f"{path} holds a {type(rows).__name__}, not a list of objects")
    for number, row in enumerate(rows, start=1):
        for column in columns:
            if not isinstance(row, dict) or column not in row:
                raise XllmError(f"{path}, row {number} has no {column!r}")
            if not isinstance(row[column], str):
                raise XllmError(f"{path}, row {number}: {column!r} is {json.dumps(row[column])[:40]}, not text")
            if not encodable(row[column]):
                raise XllmError(f"{path}, row {number}: {column!r} holds half of a surrogate pair")
        yield {column: row[column] for column in columns}
