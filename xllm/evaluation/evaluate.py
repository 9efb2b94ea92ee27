"""`python -m xllm evaluate`: score a model's answers."""

import sys
from dataclasses import asdict
from pathlib import Path

from tabulate import tabulate

from xllm import card, models, records
from xllm.errors import XllmError, unknown
from xllm.evaluation.scores import TASKS, Score


def evaluate(model, *datasets):
    """Score the answers of MODEL to each of DATASETS, as `infer` wrote them; to all it has answered, if none is given.

    A table goes to stdout, <dataset>.metrics.json beside the answers, and the scores of a tuned model to its card.
    """
    folder = models.folder_of(model) / "test"
    answered = [path.name.removesuffix(ANSWERS) for path in sorted(folder.glob(f"*{ANSWERS}"))]
    if not answered:
        raise XllmError(f"{model} has no answers in {folder}; first: python -m xllm infer {model} DATASET")
    for dataset in datasets:
        if dataset not in answered:
            hint = f"first: python -m xllm infer {model} {dataset}"
            raise unknown(f"answered dataset of {model}", dataset, answered, hint)
    rows: list[list] = []
    for dataset in datasets or answered:
        scores = score(folder, dataset)
        write(folder, model, dataset, scores)
        for name, group in scores.items():
            rows += [[name, s.metric, round(s.value, 2), s.count, s.signature] for s in group]
    if not rows:
        raise XllmError(f"there is nothing to score in {', '.join(datasets or answered)}")
    if "encoding" in models.run_facts(model):  # it was tuned here, not just fetched
        card.write(folder.parent)
    print(tabulate(rows, ["dataset", "metric", "score", "rows", "signature"], disable_numparse=[4]))


ANSWERS = ".inference.jsonl"


def score(folder: Path, dataset: str) -> dict[str, list[Score]]:
    """The scores of a file of answers, by the dataset that its rows come `from`."""
    rows, facts = records.read_jsonl(folder / f"{dataset}{ANSWERS}"), folder / f"{dataset}.run.json"
    if not facts.is_file():
        raise XllmError(f"there is no {facts}, which says what kind of task it is; answer anew: infer --overwrite")
    scores = {}
    for term in records.read_json(facts)["mixture"]["terms"]:
        if term["task"] in TASKS:
            if not term["language"]:
                raise XllmError(f"the loading script of {term['from']} names no language, which its score depends on")
            own = [row for row in rows if row["from"] == term["from"]]
            scores[term["from"]] = TASKS[term["task"]](own, term["language"])
        else:
            known = ", ".join(TASKS)
            print(f"no score for {term['from']}: its loading script names no TASK ({known})", file=sys.stderr)
    return scores


def write(folder: Path, model: str, dataset: str, scores: dict[str, list[Score]]) -> None:
    """Write <dataset>.metrics.json."""
    listed = [{"from": name, **asdict(s)} for name, group in scores.items() for s in group]
    records.write_json(folder / f"{dataset}.metrics.json", {"model": model, "dataset": dataset, "scores": listed})
