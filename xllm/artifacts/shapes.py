"""Predictions from elsewhere, told apart by the shape of what a file holds, whatever it is called:

    {"id": "answer", …}                             SQuAD's and MLQA's, also under "predictions"
    {"id": …, "prediction": …}                      a row a line, or rows in a list, as `infer` and `datasets` write
    {"prompt": …, "predict": …, "label": …}         LLaMA-Factory's generated_predictions.jsonl
    {"doc": …, "target": …, "filtered_resps": …}    lm-evaluation-harness's samples_*.jsonl (`harness_samples`)
    {"id": …, "prediction_text": …}                 those of `evaluate`'s metric "squad"
    {"prediction": […], …}, {"prediction": {…}, …}  columns, as `evaluate` and pandas have them
    ["answer", …], or lines of a .txt               in the order of the dataset
    .csv, .tsv                                      the first line names the columns

An answer may be a number, or a list of one. A file may be compressed by gzip.
"""

import csv
import json
import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from xllm.artifacts import harness_samples, references
from xllm.errors import XllmError
from xllm.files import parse_json, read_lines
from xllm.records import COLUMNS

Row = dict[str, Any]
NO_ANSWER = "no answer"  # why a row has failed
# columns that hold the answer → what such rows are called, and their other columns by our names
ANSWER: dict[str, tuple[str, dict[str, str]]] = {
    "prediction": ("rows with a 'prediction'", {}),
    "predict": ("LLaMA-Factory's predictions", {"label": "output", "prompt": "instruction"}),
    "prediction_text": ("SQuAD predictions, a row each", {}),
    "predictions": ("columns", {}),
}
OTHERS = {"reference": "output", "references": "answers", "source": "input", "sources": "input"}
ONE_ROW = (*COLUMNS, "answers", "labels", "doc")  # columns by which an object is a row, and no answers by id
LISTS = ("answers", "references", "labels")  # columns that hold lists, in tables as text
TABLES = {".csv": ",", ".tsv": "\t"}
ENDINGS = (".jsonl", ".json", ".ndjson", ".txt", *TABLES)


@dataclass
class Found:
    """The rows of a file by our columns, and what to tell of how they were read."""

    rows: list[Row]
    shape: str
    remarks: list[str] = field(default_factory=list)


def looks_like(path: str) -> bool:
    """Whether a word on the command line is a file of predictions, and no model."""
    return path.removesuffix(".gz").endswith(ENDINGS)


def read(path: Path) -> Found:
    """The predictions in a file. An answer that isn't there (null) has `failed`. Raises XllmError, naming the file and
    the row, where it has none of these shapes."""
    found = _found(_content(path), path)
    rows = [_row(row, f"{path}, row {number}") for number, row in enumerate(found.rows, start=1)]
    missing = [number for number, row in enumerate(rows, start=1) if row.get("failed") == NO_ANSWER]
    remarks = list(found.remarks)
    if missing:
        first = rows[missing[0] - 1].get("id")
        named = f"id {first}" if first is not None else f"row {missing[0]}"
        remarks.append(f"{len(missing)} without an answer count as failed, {named} first")
    return Found(rows, found.shape, remarks)


def _content(path: Path) -> Any:
    """What a file holds: a JSON value, or a list of the values, the rows or the texts that its lines are."""
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix in TABLES:
        return _table(path, TABLES[suffix])
    if suffix == ".txt":
        return list(read_lines(path))
    lines = ((number, line) for number, line in enumerate(read_lines(path)) if line.strip())
    line, once = next(lines, (0, "[]"))[1], partial(_once, path)
    try:
        first = json.loads(line, object_pairs_hook=once)
    except (json.JSONDecodeError, RecursionError):  # one value on several lines, or none
        return parse_json("\n".join(read_lines(path)), path, pairs=once)
    found = [first, *(parse_json(line, path, number, once) for number, line in lines)]
    return first if len(found) == 1 else found


def _once(path: Path, pairs: list[tuple[str, Any]]) -> Row:
    """An object of JSON, of which no name is there twice."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise XllmError(f"{path}: {twice!r} is there twice in an object; each answer is scored once")
    return made


def _table(path: Path, delimiter: str) -> list[Row]:
    reader = csv.reader((f"{line}\n" for line in read_lines(path)), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    try:
        header = next(reader, [])
        for fields in reader:
            if fields and len(fields) != len(header):
                raise XllmError(f"{path}, line {reader.line_num} has {len(fields)} fields, the first has {len(header)}")
            row: Row = dict(zip(header, fields, strict=False))
            row |= {name: references.texts(row[name]) or [row[name]] for name in LISTS if row.get(name)}
            # of the others, "False" would be true
            rows += (
                [{name: row[name] for name in row if name not in ("cut", "failed", "label_scores")}] if fields else []
            )
    except csv.Error as error:
        raise XllmError(f"{path}, line {reader.line_num} can't be cut into fields: {error}") from None
    return rows


def _found(value: Any, path: Path) -> Found:
    if isinstance(value, list):
        return _of_list(value, path)
    if not isinstance(value, dict):
        raise XllmError(f"{path} holds {_shown(value)}, neither answers nor rows")
    name = next((name for name in ANSWER if name in value), None)
    own = value.get(name or "data")
    if isinstance(own, list) and own and all(isinstance(one, dict) for one in own):
        return _of_list(own, path)
    if name is None:
        return _by_id(value, path) if not any(column in value for column in ONE_ROW) else _of_list([value], path)
    if isinstance(own, list):
        return _of_columns(value, str(name), path)
    if isinstance(own, dict):
        return _by_id(own, path) if name == "predictions" else _of_indexed(value, str(name))
    return _of_list([value], path)


def _of_list(items: list[Any], path: Path) -> Found:
    objects = any(isinstance(item, dict) for item in items)
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict) and (objects or item == []):
            raise XllmError(f"{path}, row {number} is {_shown(item)}, not an object")
    if not objects:
        return Found([{"prediction": item} for item in items], "answers in the dataset's order")
    name = next((name for name in ANSWER if any(name in item for item in items)), None)
    if name is not None:
        shape, columns = ANSWER[name]
        renamed = {name: "prediction", **OTHERS, **columns}
        # a column under our own name comes last, and counts
        ordered = ({**{renamed[key]: item[key] for key in item if key in renamed}, **item} for item in items)
        return Found([{"prediction": None, **row} for row in ordered], shape)
    if any(map(harness_samples.is_one, items)):
        rows, remarks = harness_samples.rows(items, path)
        return Found(rows, "samples of lm-evaluation-harness", remarks)
    names = ", ".join(items[0])[:200]
    others = ", ".join(name for name in ANSWER if name != "prediction")
    raise XllmError(
        f"{path}, row 1: its 'prediction' must be text, and isn't there; it has {names}; answers may be in {others}"
    )


def _of_columns(value: Row, name: str, path: Path) -> Found:
    columns = {key: own for key, own in value.items() if isinstance(own, list)}
    for key, own in columns.items():
        if len(own) != len(columns[name]):
            raise XllmError(f"{path}: its column {key!r} has {len(own)} values, {name!r} has {len(columns[name])}")
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return Found(_of_list(rows, path).rows if rows else [], "columns")


def _of_indexed(value: Row, name: str) -> Found:
    columns = {key: own for key, own in value.items() if isinstance(own, dict)}
    rows = [{key: own.get(index) for key, own in columns.items()} for index in columns[name]]
    return Found([{**row, "prediction": row[name]} for row in rows], "columns of pandas")


def _by_id(value: Row, path: Path) -> Found:
    if value and all(isinstance(own, dict) for own in value.values()):  # rows by id
        return _of_list([{"id": key, **own} for key, own in value.items()], path)
    for key, own in value.items():
        if isinstance(own, dict):
            raise XllmError(f"{path}: under {key!r} is {_shown(own)}, which is no answer")
    return Found([{"id": key, "prediction": own} for key, own in value.items()], "answers by id")


def _row(row: Row, where: str) -> Row:
    """A row whose columns are of the kinds that ours have, as far as that is plain."""
    made = {key: value for key, value in row.items() if not _missing(value)}  # `datasets` writes null for nothing
    for key, read in KINDS.items():
        if key in made:
            made[key] = read(made[key], f"{where}: its {key!r}")
    golds = made.pop("output", None)
    if not made.get("answers", [""]):
        del made["answers"]
    if golds is not None:
        made["output"] = (golds or [""])[0]
        made |= {"answers": golds} if len(golds) > 1 and "answers" not in made else {}
    answer = made.get("prediction")
    if answer is None and "failed" not in made:
        made["failed"] = NO_ANSWER
    return made | {"prediction": answer or ""}


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _text(value: Any, what: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    raise XllmError(f"{what} must be text, and is {_shown(value)}")


def _one(value: Any, what: str) -> str | None:
    """An answer, which may be a list of one."""
    if not isinstance(value, list):
        return _text(value, what)
    if len(value) > 1:
        raise XllmError(f"{what} holds {len(value)} answers, {_shown(value)}; one is scored")
    return None if not value or _missing(value[0]) else _text(value[0], what)


def _several(value: Any, what: str) -> list[str]:
    """Texts: a list, or SQuAD's {"text": […]}."""
    if isinstance(value, dict):
        value = value.get("text", value)
    if not isinstance(value, list):
        raise XllmError(f"{what} must be a list of texts, not {_shown(value)}")
    return [_text(one, what) for one in value]


def _golds(value: Any, what: str) -> list[str]:
    return _several(value, what) if isinstance(value, list) else [_text(value, what)]


KINDS = {"id": _text, "prediction": _one, "output": _golds, "answers": _several, "labels": _several}


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:40]
