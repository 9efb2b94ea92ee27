"""Predictions from elsewhere, and the dataset of the data root that they answer."""

from pathlib import Path
from typing import Any, cast

from xllm.artifacts import harness_samples, shapes
from xllm.artifacts.answers import ANSWERED, Answers, read_told
from xllm.errors import XllmError
from xllm.mixture.mixture import Mixture
from xllm.records import AnsweredRow, Row


def files(what: tuple[str, ...]) -> list[Path]:
    """The files of predictions that words on the command line name; none where they name a model. Raises XllmError for
    a folder with the samples of several tasks."""
    first = Path(what[0])
    if shapes.looks_like(what[0]) or first.is_file():
        return [Path(path) for path in what]
    if (first / "config.json").is_file() or not (samples := harness_samples.in_folder(first)):
        return []
    if len(samples) > 1:
        raise XllmError(f"{first} has the samples of several tasks; name one: {', '.join(map(str, samples[:5]))}")
    return samples


def name_of(path: Path) -> str:
    """What the scores of a file are named after."""
    name = path.name.removesuffix(".gz")
    ending = next((ending for ending in shapes.ENDINGS if name.endswith(ending)), "")
    return name.removesuffix(ending).removesuffix(".inference")


def of_dataset(path: Path, dataset: str, split: str) -> list[Answers]:
    """The predictions of a file for a split of a dataset of the data root, which says what is right; by id, or in its
    order where no row has an id.

    Raises XllmError where the ids are others than the dataset's, or rows say that they come from another one.
    """
    from xllm.mixture.load import load_mixture

    mixture, (rows, told) = load_mixture(dataset, split), read_told(path)
    if len(mixture.terms) > 1:
        raise XllmError(f"--dataset {dataset}: it must be one dataset, or ids don't tell rows apart")
    [term] = mixture.terms
    if len({record["id"] for record in mixture}) < len(mixture):
        raise XllmError(f"--dataset {dataset} has rows twice; each answer is scored once")
    for row in rows:
        if row.get("from", term.name) != term.name:
            raise XllmError(f"{path}: a row (id {row.get('id')}) comes from {row['from']}, not from {dataset}")
    name = f"{dataset} (split {split})"
    if any("id" in row for row in rows):
        rows = _by_id(path, rows, mixture, name)
    else:
        told.append(_check_order(path, rows, mixture))
    found: list[dict[str, Any]] = [
        {**record, **{column: value for column, value in row.items() if column in ANSWERED}}
        for record, row in zip(mixture, rows, strict=True)
    ]
    return [Answers(term.name, term.task, term.language, cast(list[AnsweredRow], found), tuple(told))]


def _by_id(path: Path, rows: list[AnsweredRow], mixture: Mixture, name: str) -> list[AnsweredRow]:
    """The rows in the order of the dataset."""
    for number, row in enumerate(rows, start=1):
        if "id" not in row:
            raise XllmError(f"{path}, row {number} has no id, which other rows have")
    answered, asked = {row["id"]: row for row in rows}, {record["id"] for record in mixture}
    wrong = {f"has ids that {name} lacks": set(answered) - asked, f"lacks ids of {name}": asked - set(answered)}
    for what, ids in wrong.items():
        if ids:
            raise XllmError(f"{path} {what}: {len(ids)}, {min(ids)!r} for one")
    return [answered[record["id"]] for record in mixture]


def _check_order(path: Path, rows: list[AnsweredRow], mixture: Mixture) -> str:
    """What to say of rows without ids. Raises XllmError where they can't be those of the dataset in its order."""
    if len(rows) != len(mixture):
        raise XllmError(
            f"{path} has {len(rows)} rows without ids, the dataset has {len(mixture)}; each needs an answer"
        )
    pairs = [(row["output"], record) for row, record in zip(rows, mixture, strict=True) if "output" in row]
    others = [record["id"] for gold, record in pairs if not _is_gold(gold, record)]
    told = f"{path}: rows without ids are taken in the dataset's order"
    if len(others) > len(pairs) / 2:
        raise XllmError(f"{told}, but {len(others)} of {len(pairs)} have another right answer than it has")
    return told + (f"; {len(others)} have another right answer than it has, id {others[0]} first" if others else "")


def _is_gold(text: str, record: Row) -> bool:
    golds = [record["output"], *record.get("answers", [])]
    return " ".join(text.split()) in {" ".join(gold.split()) for gold in golds}
