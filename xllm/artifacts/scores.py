"""<dataset>.metrics.json: the scores of a model's answers, each with what made it, as one table.

The file is a list of flat rows, which `pandas.read_json(path)` reads as they are. Each score is a row:

    dataset         what was answered, by the name of its file; `from` is the dataset that the rows come from
    task, language  of `from`
    kind            "score", or "share": of answers that are flawed, in percent
    metric, value, low, high, count, signature    see `Score`; `low` and `high` are null where there is no interval
    interval        how that was found: bootstrap, or wilson where each row is right or wrong
    model, command, answers_sha256, format        what was scored and how; the same in all rows

Confusion matrices of labels are apart, in <dataset>.confusion.json: for each `from`, `labels` and `counts`.
"""

import json
import math
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xllm.errors import XllmError
from xllm.files import read_json, remove, write_json

ENDING, CONFUSION = ".metrics.json", ".confusion.json"
FORMAT = 3  # of the file; the second wasn't flat
SCORE, SHARE = "score", "share"  # kinds of rows
NUMBERS = ("metric", "value", "low", "high", "interval", "count", "signature")  # of each score
FACTS = ("dataset", "model", "command", "answers_sha256", "format")  # the same in all rows
# metrics, and shares of flawed answers
LOWER_IS_BETTER = ("TER", "loss_rate", "wrong_language", "empty", "cut", "copy", "failed", "parse_failures", "gated")


@dataclass(frozen=True)
class Score:
    """A number that says how it came about."""

    metric: str
    value: float  # 0 to 100, if the metric's own scale is no other
    count: int  # rows scored
    signature: str
    low: float | None = None  # the ends of the 95 % interval, where there is one
    high: float | None = None
    interval: str | None = None  # how it was found


@dataclass(frozen=True)
class Scored:
    """What was found of one dataset's answers."""

    name: str  # what its rows come `from`
    task: str | None
    language: str | None
    scores: list[Score]
    shares: list[Score]  # of answers that are flawed, in percent
    confusion: dict[str, Any] | None = None  # `labels`, and `counts`: a row a right label, a column an answered one


def write(path: Path, model: str | None, dataset: str, command: list[str], sha256: str, found: list[Scored]) -> None:
    """Write the scores of answers that have this `sha256`, whole or not at all."""
    facts = {"model": model, "command": shlex.join(command), "answers_sha256": sha256, "format": FORMAT}
    write_json(path, [{"dataset": dataset, **row, **facts} for own in found for row in _rows(own)])
    confusion, matrices = confusion_of(path), {own.name: own.confusion for own in found if own.confusion}
    if matrices:
        write_json(confusion, matrices)
    else:
        remove(confusion)


def confusion_of(path: Path) -> Path:
    """The confusion matrices that belong to a file of scores."""
    return path.with_name(path.name.removesuffix(ENDING) + CONFUSION)


def _rows(own: Scored) -> Iterator[dict[str, Any]]:
    """The scores of a dataset as flat rows."""
    for kind, scores in ((SCORE, own.scores), (SHARE, own.shares)):
        for score in scores:
            numbers = {name: getattr(score, name) for name in NUMBERS}
            yield {"from": own.name, "task": own.task, "language": own.language, "kind": kind, **numbers}


def read(path: Path) -> tuple[dict[str, Any], list[Scored]]:
    """The facts of a file of scores, and the scores. Raises XllmError for one that another version has written, or
    that lacks something."""
    content = read_json(path)
    model, dataset = path.parent.parent, path.name.removesuffix(ENDING)
    dataset, judge, _ = dataset.partition(".judge")
    command = f"judge {model} --dataset" if judge else f"evaluate {model}"
    again = f"score again: xllm {command} {dataset}"
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise XllmError(f"{path} was written by another version of xllm; {again}")
    try:
        facts = {key: content[0][key] for key in FACTS}
        if facts["format"] != FORMAT:
            raise XllmError(f"{path} was written by another version of xllm; {again}")
        facts["command"] = shlex.split(facts["command"])
        matrices = confusion_of(path)
        return facts, _scored(content, read_json(matrices) if matrices.is_file() else {})
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise XllmError(f"{path} isn't what evaluate writes ({error}); {again}") from None


def _scored(rows: list[dict[str, Any]], matrices: dict[str, Any]) -> list[Scored]:
    """The scores in flat rows, by the dataset that these come from. Raises KeyError or TypeError where it isn't one."""
    found: dict[str, Scored] = {}
    for row in rows:
        name, task, language = row["from"], row["task"], row["language"]
        if not all(isinstance(text, str) for text in (name, task or "", language or "")):
            raise TypeError("its names and languages must be texts")
        own = found.setdefault(name, Scored(name, task, language, [], [], matrices.get(name)))
        {SCORE: own.scores, SHARE: own.shares}[row["kind"]].append(_score(row))
    return list(found.values())


def _score(entry: dict[str, Any]) -> Score:
    """The score in a row. Raises TypeError where it isn't one."""
    known = {"interval": None, **entry}  # earlier versions didn't tell how an interval was found
    score = Score(*(known[name] for name in ("metric", "value", "count", "signature", "low", "high", "interval")))
    ends = [score.low, score.high]
    numbers = [score.value, score.count, *(ends if ends != [None, None] else [])]
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers) or not all(
        isinstance(text, str) for text in (score.metric, score.signature, score.interval or "")
    ):
        raise TypeError(f"{score.metric} is {json.dumps(asdict(score))[:60]}")
    return score
