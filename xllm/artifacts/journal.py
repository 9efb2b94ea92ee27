"""The journal of a run: each answer is in a file before the next is asked for, so that a killed run loses none.

A folder beside the answers to come: `settings.json` says what makes them, and each rank appends what it has found out
to a file of its own, a JSON object a line. It goes when the answers are whole.
"""

import json
import os
from pathlib import Path
from typing import Any

import filelock

from xllm import locks
from xllm.artifacts.run_info import differences
from xllm.errors import XllmError
from xllm.files import read_json, remove, write_json

SETTINGS, LOCK = "settings.json", "lock"
KEY = "row"  # under which an entry says what it belongs to


class Journal:
    """What has been found out, by row; opened once the settings are known to be the same."""

    def __init__(self, folder: Path, rank: int) -> None:
        self.folder, self.path = folder, folder / f"rank-{rank}.jsonl"
        _mend(self.path)
        self.file = self.path.open("a", encoding="utf-8")

    def read(self) -> dict[int | str, dict[str, Any]]:
        """All entries, of every rank, by row."""
        found: dict[int | str, dict[str, Any]] = {}
        for path in sorted(self.folder.glob("rank-*.jsonl")):
            for line in path.read_bytes().splitlines():
                entry = _entry(line)
                if entry is not None:
                    found.setdefault(entry.pop(KEY), entry)
        return found

    def add(self, row: int | str, **entry: Any) -> None:
        """Append what is known of a row; another process can read it at once."""
        self.file.write(json.dumps({KEY: row, **entry}, ensure_ascii=False) + "\n")
        self.file.flush()

    def sync(self) -> None:
        """Let what was added outlive the machine."""
        os.fsync(self.file.fileno())

    def close(self) -> None:
        """No more is added."""
        self.file.close()


def check(folder: Path, settings: dict[str, Any]) -> None:
    """Raise XllmError where the journal in a folder was begun with other settings, and name them."""
    path = folder / SETTINGS
    found = list(differences(read_json(path), json.loads(json.dumps(settings)))) if path.exists() else []
    if found:
        raise XllmError(
            f"{folder} holds answers that were begun with other settings: {'; '.join(found)}; "
            "use the same settings to resume, or --overwrite to start over"
        )


def begin(folder: Path, settings: dict[str, Any], overwrite: bool) -> filelock.FileLock:
    """Make the folder of a journal, or take up the one that is there; the lock holds while the process lives.

    Raises XllmError where another process is at work on it, or where it was begun with other settings; with
    `overwrite`, it begins anew then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = locks.take(folder / LOCK, f"writing to {folder}")
    try:
        check(folder, settings)
    except XllmError:
        if not overwrite:
            lock.release()
            raise
        remove(folder / SETTINGS)
    if not (folder / SETTINGS).exists():  # what is there is of other settings, or of a run that is over
        for old in folder.glob("rank-*.jsonl"):
            remove(old)
    write_json(folder / SETTINGS, settings)
    return lock


def abandon(folder: Path) -> None:
    """Remove a journal that nothing has been written to."""
    if not any(path.stat().st_size for path in folder.glob("rank-*.jsonl")):
        remove(folder)
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def _mend(path: Path) -> None:
    """Cut off what a killed process left of a line, or the next would be written to its end."""
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:  # torn, or zeros that a machine's fall has left
        return None
    return entry if isinstance(entry, dict) and KEY in entry else None
