"""The files samples_<task>_<time>.jsonl that lm-evaluation-harness writes with --log_samples: a row for each question
(`doc`) and filter, with what was asked (`arguments`), what came (`filtered_resps`), and what is right (`target`)."""

from pathlib import Path
from typing import Any

from xllm.artifacts import references
from xllm.errors import XllmError
from xllm.records import COLUMNS

Row = dict[str, Any]
KEPT = (*COLUMNS, "answers", "labels", "from")  # of a `doc` that is a record of ours


def is_one(row: Row) -> bool:
    """Whether a row is one of such a file."""
    return isinstance(row.get("doc"), dict) and ("filtered_resps" in row or "resps" in row)


def in_folder(folder: Path) -> list[Path]:
    """The files of samples in a folder of results."""
    return sorted(folder.rglob("samples_*.jsonl")) if folder.is_dir() else []


def rows(samples: list[Row], path: Path) -> tuple[list[Row], list[str]]:
    """The rows by our columns, and what to tell of them: of several filters, the first is read. Raises XllmError,
    naming the row, where one lacks something."""
    filters = list(dict.fromkeys(sample.get("filter") for sample in samples))
    remarks = [f"of the filters {', '.join(map(str, filters))} the first"] if len(filters) > 1 else []
    own = [sample for sample in samples if sample.get("filter") == filters[0]]
    own.sort(key=lambda sample: sample.get("doc_id", 0))
    return [_row(sample, f"{path}, row {number}") for number, sample in enumerate(own, start=1)], remarks


def _row(sample: Row, where: str) -> Row:
    try:
        return _by_our_columns(sample)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise XllmError(f"{where} isn't what lm-eval --log_samples writes ({reason})") from None


def _by_our_columns(sample: Row) -> Row:
    doc = sample["doc"]
    calls = sample["arguments"]
    asked = [[call[key] for key in sorted(call)] for call in calls.values()] if isinstance(calls, dict) else calls
    answers = sample["filtered_resps"] if "filtered_resps" in sample else [own[0] for own in sample["resps"]]
    row = {"instruction": asked[0][0]} | ({"id": doc["id"]} if isinstance(doc.get("id"), str | int) else {})
    target = sample.get("target")
    if all(map(_is_likelihood, answers)):
        row |= _chosen([float(likely) for likely, _ in answers], asked, target)
    else:
        golds = references.texts(target) if isinstance(target, str) else target
        row |= {"prediction": answers[0] if len(answers) == 1 else answers, "output": golds or target}
    if all(isinstance(doc.get(column), str) for column in ("instruction", "output")):  # it asks our own records
        row |= {column: doc[column] for column in KEPT if column in doc}
    return row


def _is_likelihood(answer: Any) -> bool:
    """Whether a response is the log-probability of a text, and whether it is the likeliest, and no text."""
    return isinstance(answer, list) and len(answer) == 2 and str(answer[1]) in ("True", "False")


def _chosen(likely: list[float], asked: list[list[str]], target: Any) -> Row:
    """The likeliest of several choices, and the right one, which `target` tells by its place or its text."""
    if len(likely) < 2:
        raise ValueError("one text alone was scored, so that none was chosen")
    choices = [own[1].strip() for own in asked]
    if len(set(choices)) == 1:  # sentences that end alike
        choices = [own[0].strip() for own in asked]
    place = str(target).strip()
    right = choices[int(place)] if place.isdecimal() and place not in choices else place
    return {"prediction": choices[likely.index(max(likely))], "output": right, "labels": choices}
