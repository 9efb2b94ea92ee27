"""Locks: one process at a time works in a place, and who comes second is told who that is.

The system lets go of a lock when the process that holds it ends, however it ends.
"""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import filelock

from xllm.errors import XllmError


def take(path: Path, doing: str) -> filelock.FileLock:
    """Take the lock at `path`, for what would be told to others as "another process is" `doing`; it holds until it is
    released. Raises XllmError where another process has it."""
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise XllmError(f"another process is {doing}{_holder(path)}") from None
    _sign(path)
    return lock


@contextmanager
def held(path: Path, doing: str) -> Iterator[None]:
    """Hold a lock, as `take` does, which leaves no file."""
    lock = take(path, doing)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _sign(path: Path) -> None:
    """Write down who holds a lock, unless filelock writes that itself, where a file system has no locks."""
    found = path.read_text(encoding="utf-8", errors="replace")
    if not found or found.startswith("{"):
        now = datetime.now(timezone.utc).isoformat(sep=" ", timespec="seconds")
        path.write_text(json.dumps({"pid": os.getpid(), "host": platform.node(), "since": now}))


def _holder(path: Path) -> str:
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
        return f" (process {who['pid']} on {who['host']}, since {who['since']})"
    except (OSError, ValueError, TypeError, KeyError):  # it is only just beginning, or of another version
        return ""
