"""The votes of those who compared models: model/votes.jsonl, one JSON object a line, in the order in which they came.

    {"time": "2026-03-01T12:00:00+00:00", "instruction": "…", "input": "", "template": "alpaca",
     "models": ["tuned", "base"], "answers": ["…", "…"], "vote": "tuned", "hidden": true}

`models` and their `answers` stand from left to right as they were shown, in a random order where they were `hidden`
until the vote. The `vote` is the name of the better model, "tie" (all are equally good), or "both bad" (all are bad).
The `template` is the one that was chosen on the page.
"""

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock

from xllm import places
from xllm.errors import XllmError, unknown


def file() -> Path:
    """Where votes are kept."""
    return places.models() / FILE


def cast(vote: str, comparison: dict[str, Any]) -> None:
    """Add a vote on a comparison, which has all other fields but the time. Raises XllmError for no such choice, and
    where the file can't be written."""
    if vote not in (choices := [*comparison["models"], TIE, BOTH_BAD]):
        raise unknown("vote", vote, choices)
    time = datetime.now(timezone.utc).isoformat(timespec="seconds")
    line = json.dumps({"time": time, **comparison, "vote": vote}, ensure_ascii=False) + "\n"
    try:
        _append(file(), line.encode())
    except OSError as error:
        raise XllmError(f"cannot write the vote to {file()}: {error.strerror}") from error


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")), path.open("ab+") as votes:
        end = votes.seek(0, os.SEEK_END)
        if end:
            votes.seek(end - 1)
            if votes.read(1) != b"\n":  # a process was killed while it wrote: its vote wasn't counted on the page
                votes.seek(0)
                votes.truncate(votes.read().rfind(b"\n") + 1)
        votes.write(line)
        votes.flush()
        os.fsync(votes.fileno())


FILE = "votes.jsonl"  # beside the models' folders


TIE, BOTH_BAD = "tie", "both bad"


def _checked(vote: object, where: str) -> tuple[list[str], str]:
    """A vote's models, and the winner, or what was voted instead."""
    shown, winner = (vote.get("models"), vote.get("vote")) if isinstance(vote, dict) else (None, None)
    if not isinstance(shown, list) or len(shown) < 2 or not all(isinstance(name, str) for name in shown):
        found = json.dumps(shown, ensure_ascii=False)[:60]
        raise XllmError(f"{where}: 'models' must list the two models or more that were shown, and is {found}")
    if winner not in (*shown, TIE, BOTH_BAD):
        found = json.dumps(winner, ensure_ascii=False)[:60]
        raise XllmError(f"{where}: 'vote' must be one of {', '.join(shown)}, {TIE}, {BOTH_BAD}, and is {found}")
    assert isinstance(winner, str)  # one of them
    return shown, winner
