"""Files of answers: what `infer` wrote, a predictions file from elsewhere, or two plain text files."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from xllm import models, records
from xllm.errors import XllmError, unknown

ENDING = ".inference.jsonl"
ANSWERED = ("prediction", "cut", "failed", "label_scores", "original_input")  # what inference adds to a record


@dataclass(frozen=True)
class Answers:
    """The answers to one dataset: its records, each with a `prediction`."""

    name: str  # what its rows come `from`
    task: str | None  # what kind of answer is asked for: the TASK of its loading script
    language: str | None  # of the answers; of the inputs where these are labels
    rows: list[dict]


def folder_of(model: str) -> Path:
    """Where a model's answers are."""
    return models.folder_of(model) / "test"


def answered(folder: Path) -> list[str]:
    """The datasets that a folder has answers to."""
    return [path.name.removesuffix(ENDING) for path in sorted(folder.glob(f"*{ENDING}"))]


def facts_of(path: Path) -> Path:
    """The run.json of a file of answers; only one that `infer` wrote has it."""
    return path.with_name(path.name.removesuffix(ENDING).removesuffix(".jsonl") + ".run.json")


def of_file(path: Path, task: str | None = None, language: str | None = None) -> list[Answers]:
    """The answers in a file, by the dataset that they answer. What kind they are is in the file's run.json, and has to
    be told where there is none. Raises XllmError where the rows aren't those that were asked."""
    rows, facts = read(path), facts_of(path)
    if facts.is_file():
        return _as_asked(path, rows, records.read_json(facts))
    if language is None or task is None:
        raise XllmError(
            f"{path} has no run.json beside it, which says what it holds; tell: --task TASK --lang LANGUAGE"
        )
    names = sorted({row.get("from", path.stem) for row in rows})
    if len(names) > 1:
        raise XllmError(f"{path} mixes datasets ({', '.join(names[:3])}), which one --task and --lang can't tell apart")
    lacking = next((row for row in rows if not isinstance(row.get("output"), str)), None)
    if lacking:
        raise XllmError(f"{path}: a row (id {lacking.get('id')}) has no 'output' to score against; or name a --dataset")
    return [Answers(names[0], task, language, rows)]


def of_dataset_elsewhere(path: Path, dataset: str) -> list[Answers]:
    """The predictions of a file, by id, for a dataset of the data root, which says what is right.

    Raises XllmError where the ids are others than the dataset's.
    """
    from xllm.mixture import load_mixture

    mixture, rows = load_mixture(dataset, "test"), read(path)
    if len(mixture.terms) > 1:
        raise XllmError(f"--dataset {dataset}: it must be one dataset, or ids don't tell rows apart")
    [term], predictions = mixture.terms, {row.get("id"): row for row in rows}
    asked = {record["id"] for record in mixture}
    wrong = {
        f"has other ids than {dataset}": set(predictions) - asked,
        f"lacks ids that {dataset} has": asked - set(predictions),
    }
    for what, ids in wrong.items():
        if ids:
            raise XllmError(f"{path} {what} ({len(ids)} of {len(asked)}, {min(map(str, ids))!r} for one)")
    found = [{**record, "prediction": predictions[record["id"]]["prediction"]} for record in mixture]
    return [Answers(term["from"], term["task"], term["language"], found)]


def of_texts(hypotheses: Path, references: Path, sources: Path | None, language: str, task: str) -> list[Answers]:
    """Plain text files, line by line. Raises XllmError where they differ in length."""
    files = [hypotheses, references, *([sources] if sources else [])]
    lines = [list(records.read_lines(path)) for path in files]
    for path, own in zip(files[1:], lines[1:], strict=True):
        if len(own) != len(lines[0]):
            raise XllmError(f"{path} has {len(own)} lines, {hypotheses} has {len(lines[0])}")
    if not lines[0]:
        raise XllmError(f"{hypotheses} is empty")
    columns = ("prediction", "output", "input")
    rows = [
        {"id": str(number), "input": "", **dict(zip(columns, texts, strict=False))}  # without sources there are two
        for number, texts in enumerate(zip(*lines, strict=True))
    ]
    return [Answers(hypotheses.name, task, language, rows)]


def read(path: Path) -> list[dict]:
    """The rows of a file of answers. Raises XllmError where one has no prediction, or an id comes twice."""
    if not path.is_file():
        raise XllmError(f"there is no file {path}")
    rows, known = records.read_jsonl(path), set()
    if not rows:
        raise XllmError(f"{path} has no rows")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or not isinstance(row.get("prediction"), str):
            found = json.dumps(row.get("prediction") if isinstance(row, dict) else row, ensure_ascii=False)[:40]
            raise XllmError(f"{path}, row {number}: its 'prediction' must be text, and is {found}")
        key = (row.get("from"), row.get("id"))
        if key in known and row.get("id") is not None:
            raise XllmError(f"{path}, row {number}: the id {row['id']!r} was there before; each row is scored once")
        known.add(key)
    return rows


def _as_asked(path: Path, rows: list[dict], facts: dict) -> list[Answers]:
    """The rows by the dataset that they come `from`, once it is known that these are what was asked."""
    terms = {term["from"]: term for term in facts["mixture"]["terms"]}
    for row in rows:
        if row.get("from") not in terms:
            raise unknown(f"dataset of a row in {path}", str(row.get("from")), terms, "its run.json names these")
    if "ids_sha256" in facts and facts["ids_sha256"] != records.ids_sha256(rows):
        asked = sum(term["rows"] for term in terms.values())
        raise XllmError(
            f"{path} has other rows ({len(rows)}) than were asked ({asked}); answer anew: infer --overwrite"
        )
    return [
        Answers(name, term["task"], term["language"], [row for row in rows if row["from"] == name])
        for name, term in terms.items()
    ]


def asked(rows: Iterable[dict]) -> list[dict]:
    """What rows asked, without what was answered or how their input was put."""
    return [
        {column: value for column, value in row.items() if column not in ANSWERED}
        | {"input": row.get("original_input", row.get("input"))}
        for row in rows
    ]
