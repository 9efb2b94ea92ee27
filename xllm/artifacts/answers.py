"""Files of answers: what `infer` wrote, a predictions file from elsewhere, or two plain text files."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from xllm import records
from xllm.artifacts import file_names, model_folder, references, shapes
from xllm.errors import XllmError, unknown
from xllm.files import read_json, read_jsonl, read_lines
from xllm.records import AnsweredRow

ENDING = ".inference.jsonl"
TEXTS = ("id", "from", "instruction", "input", "output", "original_input")
LABEL_MEASURES = ("per_token", "per_byte")  # log-probabilities that inference gives each label
ANSWERED = ("prediction", "cut", "failed", "label_scores", "original_input")  # what inference adds to a record


@dataclass(frozen=True)
class Answers:
    """The answers to one dataset: its records, each with a `prediction`."""

    name: str  # what its rows come `from`
    task: str | None  # what kind of answer is asked for: the TASK of its loading script
    language: str | None  # of the answers; of the inputs where these are labels
    rows: list[AnsweredRow]
    told: tuple[str, ...] = ()  # what is to be said of how they were read

    def __post_init__(self) -> None:
        # here, since the task may be known later than the rows are
        object.__setattr__(self, "rows", references.apart(self.task, self.rows))


def folder_of(model: str) -> Path:
    """Where a model's answers are."""
    return model_folder.folder_of(model) / "test"


def answered(folder: Path) -> dict[str, Path]:
    """The files of answers in a folder, by the names of the datasets that they answer (see `file_names`)."""
    return file_names.listed(folder, ENDING)


def file_of(folder: Path, dataset: str) -> Path:
    """Where the answers to a dataset are, or would be, in a folder; the dataset by its text or the name of its file."""
    there = answered(folder)
    name = file_names.chosen(dataset, there)
    return folder / f"{file_names.of_mixture(dataset)}{ENDING}" if name is None else there[name]


def named(datasets: Iterable[str], there: dict[str, Path], model: str) -> list[str]:
    """Datasets by the names that `answered` has them under, each once. Raises XllmError for one that isn't there."""
    found = {dataset: file_names.chosen(dataset, there) for dataset in datasets}
    for dataset, name in found.items():
        if name is None:
            hint = f"first: xllm infer {model} {dataset}"
            raise unknown(f"answered dataset of {model}", dataset, there, hint)
    return list(dict.fromkeys(name for name in found.values() if name is not None))


def facts_of(path: Path) -> Path | None:
    """The run.json of a file of answers that `infer` wrote; None for any other file."""
    facts = path.with_name(path.name.removesuffix(ENDING) + ".run.json")
    return facts if path.name.endswith(ENDING) and facts.is_file() else None


def of_file(path: Path) -> list[Answers]:
    """The answers in a file, by the dataset that they answer. What kind they are is in the file's run.json; where there
    is none, it isn't known. Raises XllmError where the rows aren't those that were asked."""
    (rows, told), facts = read_told(path), facts_of(path)
    if facts is not None:
        return _as_asked(path, rows, facts)
    names = sorted({row.get("from", path.stem) for row in rows})
    if len(names) > 1:
        raise XllmError(
            f"{path} mixes datasets ({', '.join(names[:3])}), and has no run.json, which says what they are"
        )
    kept, left_out = _with_golds(path, rows)
    return [Answers(names[0], None, None, kept, (*told, *left_out))]


def _with_golds(path: Path, rows: list[AnsweredRow]) -> tuple[list[AnsweredRow], list[str]]:
    """The rows that can be scored: those with a right answer, out of its labels where there are any; and what to say of
    the others. Raises XllmError where none can."""
    kept, why = [], []
    for number, row in enumerate(rows, start=1):
        if "output" not in row and row.get("answers"):
            row["output"] = row["answers"][0]
        name = f"a row (id {row['id']})" if "id" in row else f"row {number}"
        fault = f"{name} has no 'output' to score against" if "output" not in row else _label_fault(row, name)
        if fault is None:
            kept.append(row)
        else:
            why.append(fault)
    if not kept:
        raise XllmError(f"{path}: {why[0]}; or name a --dataset")
    return kept, [f"{path}: {len(why)} of {len(rows):,} rows can't be scored: {why[0]}"] if why else []


def of_texts(hypotheses: Path, references: Path, sources: Path | None, language: str, task: str) -> list[Answers]:
    """Plain text files, line by line. Raises XllmError where they differ in length."""
    files = [hypotheses, references, *([sources] if sources else [])]
    lines = [list(read_lines(path)) for path in files]
    for path, own in zip(files[1:], lines[1:], strict=True):
        if len(own) != len(lines[0]):
            raise XllmError(f"{path} has {len(own)} lines, {hypotheses} has {len(lines[0])}")
    if not lines[0]:
        raise XllmError(f"{hypotheses} is empty")
    columns = ("prediction", "output", "input")
    rows = [
        # without sources there are two columns
        cast(AnsweredRow, {"id": str(number), "input": "", **dict(zip(columns, texts, strict=False))})
        for number, texts in enumerate(zip(*lines, strict=True))
    ]
    return [Answers(hypotheses.name, task, language, rows)]


def read(path: Path) -> list[AnsweredRow]:
    """The rows of a file of answers, with the input as it was asked where the model had it in other words, and no
    prediction where a row failed.

    Raises XllmError where a row isn't one, or an id comes twice.
    """
    return read_told(path)[0]


def read_told(path: Path) -> tuple[list[AnsweredRow], list[str]]:
    """The same, and what to say of how they were read where `infer` hasn't written them."""
    if not path.is_file():
        raise XllmError(f"there is no file {path}")
    if facts_of(path):
        return _checked(path, read_jsonl(path)), []
    found = shapes.read(path)
    return _checked(path, found.rows), ["; ".join([f"{path}: {len(found.rows):,} {found.shape}", *found.remarks])]


def _checked(path: Path, rows: list[dict[str, Any]]) -> list[AnsweredRow]:
    if not rows:
        raise XllmError(f"{path} has no rows")
    known = set()
    for number, row in enumerate(rows, start=1):
        _check(row, f"{path}, row {number}")
        key = (row.get("from"), row.get("id"))
        if key in known and row.get("id") is not None:
            raise XllmError(f"{path}, row {number}: the id {row['id']!r} was there before; each row is scored once")
        known.add(key)
    return [_as_given(row) for row in rows]


def _as_given(row: dict[str, Any]) -> AnsweredRow:
    """A row with the input as the dataset has it, and without what a failed one may say."""
    given = {"input": row.get("original_input", row["input"])} if "input" in row else {}
    return cast(AnsweredRow, row | given | ({"prediction": ""} if "failed" in row else {}))


def _check(row: object, where: str) -> None:
    """Raise XllmError where a row has a column of another kind than it should."""
    if not isinstance(row, dict):
        raise XllmError(f"{where} is {json.dumps(row, ensure_ascii=False)[:40]}, not an object")
    for column in ("prediction", *TEXTS):
        if not isinstance(row.get(column, None if column == "prediction" else ""), str):
            found = json.dumps(row.get(column), ensure_ascii=False)[:40]
            raise XllmError(f"{where}: its {column!r} must be text, and is {found}")
        if not records.encodable(row.get(column, "")):
            raise XllmError(f"{where}: its {column!r} holds half of a surrogate pair")
    for column in ("answers", "labels"):
        texts = row.get(column, [])
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise XllmError(f"{where}: its {column!r} must be a list of texts, not {json.dumps(texts)[:40]}")
        if not records.encodable("".join(texts)):
            raise XllmError(f"{where}: its {column!r} hold half of a surrogate pair")
    scores = row.get("label_scores", {})
    if not isinstance(scores, dict) or not all(map(_is_score, scores.values())):
        raise XllmError(
            f"{where}: its 'label_scores' must give each label {' and '.join(LABEL_MEASURES)}, as infer does"
        )


def _is_score(score: object) -> bool:
    return isinstance(score, dict) and all(isinstance(score.get(name), int | float) for name in LABEL_MEASURES)


def _label_fault(row: AnsweredRow, name: str) -> str | None:
    """What is wrong with the right label of a row, where something is."""
    labels = [label.strip() for label in row.get("labels", [])]
    if row.get("output") and "labels" in row and row["output"].strip() not in labels:
        return f"the output of {name} is none of its labels: {labels[:5]}"
    return None


def _as_asked(path: Path, rows: list[AnsweredRow], file: Path) -> list[Answers]:
    """The rows by the dataset that they come `from`, once it is known that these are what was asked."""
    facts = read_json(file)
    try:
        terms = {term["from"]: (term["task"], term["language"]) for term in facts["mixture"]["terms"]}
    except (KeyError, TypeError):
        raise XllmError(f"{file} doesn't say which datasets were answered; answer again: infer --overwrite") from None
    for row in rows:
        if row.get("from") not in terms:
            raise unknown(f"dataset of a row in {path}", str(row.get("from")), terms, "its run.json names these")
        if "output" not in row:
            raise XllmError(f"{path}: a row (id {row.get('id')}) has no 'output'; answer again: infer --overwrite")
        if fault := _label_fault(row, f"a row (id {row.get('id')})"):
            raise XllmError(f"{path}: {fault}")
    if "ids_sha256" in facts and facts["ids_sha256"] != records.ids_sha256(rows):
        raise XllmError(f"{path} has other rows than were asked; answer again: infer --overwrite")
    found = [Answers(name, *kind, [row for row in rows if row["from"] == name]) for name, kind in terms.items()]
    return [own for own in found if own.rows]


def asked_alike(one: list[Answers], other: list[Answers]) -> bool:
    """Whether two models' answers are to the same rows, whatever was answered."""
    return [list(map(asked, own.rows)) for own in one] == [list(map(asked, own.rows)) for own in other]


def asked(row: AnsweredRow) -> dict[str, Any]:
    """What a row asks and what is right, without what was answered."""
    return {column: value for column, value in row.items() if column not in ANSWERED}
