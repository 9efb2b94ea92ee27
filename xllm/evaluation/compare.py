"""`python -m xllm compare`: the scores of several models side by side."""

from pathlib import Path

from tabulate import tabulate

from xllm import models
from xllm.errors import XllmError
from xllm.evaluation.evaluate import ANSWERS, score
from xllm.records import read_jsonl


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
            for i, first in enumerate(group):
                values = [round(scores[term][i].value, 2) for scores in scored]
                lines.append([term, first.metric, first.count, *values])
    print(tabulate(lines, ["dataset", "metric", "rows", *(models.short_name(model) for model in models_)]))


def check_rows(dataset: str, names: tuple[str, ...], folders: list[Path]) -> None:
    """Raise XllmError where models have answered other rows than the baseline, under the same dataset's name."""
    rows = [[{**row, "prediction": None} for row in read_jsonl(folder / f"{dataset}{ANSWERS}")] for folder in folders]
    for name, other in zip(names, rows, strict=True):
        if other != rows[0]:
            raise XllmError(f"{name} and {names[0]} have answered different rows of {dataset}; answer them anew")
