"""Records, with the columns that each stage adds, and the files that hold them."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from xllm.errors import XllmError

COLUMNS = ("id", "instruction", "input", "output")
# what kind of answers a dataset asks for: a loading script's TASK; its metrics are in xllm.evaluation.metrics.registry
TASKS = ("translation", "qa", "mlqa", "label", "summary", "simplification")


class Record(TypedDict):
    """What every loading script gives of a row."""

    id: str
    instruction: str
    input: str
    output: str


class Choices(TypedDict, total=False):
    """What some loading scripts give besides."""

    answers: list[str]  # all that are accepted, `output` being the first
    labels: list[str]  # a closed set of answers; `output` is one of them, or "" where the right one isn't published


# what the mixer adds: the term that a record came from (`from` is a keyword, so this can't be a class)
Origin = TypedDict("Origin", {"from": str})


class Row(Record, Choices, Origin):
    """A row of a mixture."""


class LabelMeasures(TypedDict):
    """How likely a label is: the natural logarithm of its probability, of each token, of each byte of its text."""

    sum: float
    per_token: float
    per_byte: float


class LabelScore(LabelMeasures, total=False):
    """The same, and by the rule of x-LLM's code, which answers of earlier versions lack: the mean over the tokens of
    prompt and label, but for the first."""

    reference: float


class Answer(TypedDict, total=False):
    """What inference finds out about a row: a `prediction`, or why there is none."""

    prediction: str
    cut: bool  # at the longest that an answer may be
    failed: str  # why
    label_scores: dict[str, LabelScore]


class AskedRow(Row, total=False):
    """A row as a model is asked it."""

    original_input: str  # where `input` is its translation


class AnsweredRow(AskedRow, Answer):
    """A row of a file of answers. One from elsewhere may have no more than `prediction` and what is right."""


def ids_sha256(rows: Iterable[Row] | Iterable[AnsweredRow]) -> str:
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
