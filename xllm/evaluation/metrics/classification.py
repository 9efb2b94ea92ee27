"""Accuracy, macro-F1 and the confusion matrix of answers out of closed sets, each row's right label being known."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from xllm import __version__
from xllm.evaluation.measured import Measured, mean
from xllm.records import AnsweredRow

SIGNATURE = f"exact|case:mixed|xllm:{__version__}"
NONE = "(none)"  # an answer that is no label
Choice = Callable[[AnsweredRow], str]  # a row → the label that it took


def accuracy(rows: list[AnsweredRow], language: str, _: str | None) -> Measured:
    """The share of right labels among the answers."""
    return _accuracy(rows, _written)


def accuracy_per_token(rows: list[AnsweredRow], language: str, _: str | None) -> Measured | None:
    """The same of the labels with the highest log-probability for each token, where labels were scored."""
    return _accuracy(rows, _likeliest("per_token")) if _scored(rows) else None


def accuracy_per_byte(rows: list[AnsweredRow], language: str, _: str | None) -> Measured | None:
    """The same for each byte."""
    return _accuracy(rows, _likeliest("per_byte")) if _scored(rows) else None


def accuracy_reference(rows: list[AnsweredRow], language: str, _: str | None) -> Measured | None:
    """The same by the rule of x-LLM's code, the mean over the tokens of prompt and label, where answers have it."""
    scores = [score for row in rows for score in row.get("label_scores", {}).values()]
    known = bool(scores) and all("reference" in score for score in scores)
    return _accuracy(rows, _likeliest("reference")) if known else None


def macro_f1(rows: list[AnsweredRow], language: str, _: str | None) -> Measured | None:
    """The mean F1 of the classes that are right for a row or answered for one, each counting alike: scikit-learn's
    `f1_score(average="macro")`, but that an answer which is no label is no class."""
    found = confusion(rows)
    if found is None:
        return None
    classes, own = found["labels"], _classes(rows)
    right = np.array([[gold == name for name in classes] for gold, _ in own])
    answered = np.array([[answer == name for name in classes] for _, answer in own])

    def score_of(sums: np.ndarray) -> np.ndarray:
        both, either = sums[:, : len(classes)], sums[:, len(classes) :]
        each = np.divide(2 * both, either, out=np.zeros_like(both), where=either > 0)
        return 100 * each.sum(1) / np.maximum((either > 0).sum(1), 1)

    statistics = np.concatenate([right & answered, right.astype(int) + answered], axis=1)
    return Measured(statistics.astype(float), score_of, f"macro|classes:{','.join(classes)}|{SIGNATURE}")


def confusion(rows: list[AnsweredRow]) -> dict[str, Any] | None:
    """How often (`counts`, [right, answered]) each of the `labels` was answered where each was right; the last column
    counts answers that are no label. Where each row has labels of its own, such as two sentences to choose from,
    they go by their place, "1" for the first."""
    if not rows or any("labels" not in row for row in rows):
        return None
    found, names = _classes(rows), _names(rows)
    counts = [[sum(pair == (gold, answer) for pair in found) for answer in [*names, NONE]] for gold in names]
    return {"labels": names, "counts": counts}


def _accuracy(rows: list[AnsweredRow], choice: Choice) -> Measured:
    return mean([100.0 * (choice(row).strip() == row["output"].strip()) for row in rows], SIGNATURE)


def _scored(rows: list[AnsweredRow]) -> bool:
    return any("label_scores" in row for row in rows)  # a row that failed has none


def _written(row: AnsweredRow) -> str:
    return row["prediction"].strip()


def _likeliest(measure: Literal["per_token", "per_byte", "reference"]) -> Choice:
    def choice(row: AnsweredRow) -> str:
        scores = row.get("label_scores", {})
        # a tie doesn't go by their order
        return max(scores, key=lambda text: (scores[text][measure], text), default="")

    return choice


def _names(rows: list[AnsweredRow]) -> list[str]:
    """The classes: the labels, where all rows have the same ones, else the places of labels."""
    if _alike(rows):
        return [label.strip() for label in rows[0]["labels"]]
    return [str(place) for place in range(1, 1 + max(len(row["labels"]) for row in rows))]


def _alike(rows: list[AnsweredRow]) -> bool:
    return all(set(row["labels"]) == set(rows[0]["labels"]) for row in rows)


def _classes(rows: list[AnsweredRow]) -> list[tuple[str, str]]:
    """The class that is right and the one that was answered, for each row."""
    places, found = None if _alike(rows) else _names(rows), []
    for row in rows:
        labels = [label.strip() for label in row["labels"]]
        own = dict(zip(labels, places or labels, strict=False))
        found.append((own[row["output"].strip()], own.get(_written(row), NONE)))
    return found
