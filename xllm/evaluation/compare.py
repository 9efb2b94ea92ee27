"""`python -m xllm compare`: the scores of several models side by side."""

from pathlib import Path

from tabulate import tabulate

from xllm import models
from xllm.errors import XllmError
from xllm.evaluation.evaluate import ANSWERS, score
from xllm.evaluation.scores import Score
from xllm.records import read_jsonl

ANSWERED = ("prediction", "cut", "failed", "label_scores", "original_input")  # what inference adds to a record


def compare(*models_, dataset=None):
    """Score the answers of several MODELS, the first being the baseline, to the same datasets.

    DATASET names one, or several separated by commas; all that every model has answered, if not given.
    """
    if len(models_) < 2:
        raise XllmError("compare needs two models or more, the first being the baseline")
    folders = [models.folder_of(model) / "test" for model in models_]
    answered = [{path.name.removesuffix(ANSWERS) for path in folder.glob(f"*{ANSWERS}")} for folder in folders]
    wanted = dataset.split(",") if dataset else sorted(set.intersection(*answered))
    for model, there in zip(models_, answered, strict=True):
        if lacking := [name for name in wanted if name not in there]:
            raise XllmError(f"{model} has no answers to {lacking[0]}; first: python -m xllm infer {model} {lacking[0]}")
    if not wanted:
        raise XllmError(f"there is no dataset that all of {', '.join(models_)} have answered")
    lines = []
    for name in wanted:
        check_rows(name, models_, folders)
        scored = [score(folder, name) for folder in folders]
        for term, group in scored[0].items():
            for first in group:
                values = [value_of(scores[term], first.metric) for scores in scored]
                lines.append([term, first.metric, first.count, *values])
    print(tabulate(lines, ["dataset", "metric", "rows", *(models.short_name(model) for model in models_)]))


def value_of(scores: list[Score], metric: str) -> float | None:
    """A metric's value; None where it wasn't taken of these answers."""
    return next((round(score.value, 2) for score in scores if score.metric == metric), None)


def asked(row: dict) -> dict:
    """What a row asked, without what was answered or how its input was put."""
    kept = {column: value for column, value in row.items() if column not in ANSWERED}
    return kept | {"input": row.get("original_input", row.get("input"))}


def check_rows(dataset: str, names: tuple[str, ...], folders: list[Path]) -> None:
    """Raise XllmError where models have answered other rows than the baseline, under the same dataset's name."""
    rows = [[asked(row) for row in read_jsonl(folder / f"{dataset}{ANSWERS}")] for folder in folders]
    for name, other in zip(names, rows, strict=True):
        if other != rows[0]:
            raise XllmError(f"{name} and {names[0]} have answered different rows of {dataset}; answer them anew")
