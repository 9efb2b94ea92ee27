"""The rows on which two models differ most."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xllm.artifacts.answers import Answers
from xllm.evaluation.metrics import registry
from xllm.records import AnsweredRow

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # what models are called in tables, the baseline first
LONGEST = 300  # characters of a text in a terminal
CONTROL = {code: "\ufffd" for code in (*range(32), *range(127, 160))}  # what could command a terminal


@dataclass(frozen=True)
class Example:
    """A row, and how the baseline and another model answered it."""

    dataset: str
    metric: str
    number: int  # of the other model, the baseline being 0
    row: AnsweredRow
    values: tuple[float, float]
    predictions: tuple[str, str]

    @property
    def letter(self) -> str:
        return LETTERS[self.number]

    @property
    def title(self) -> str:
        scored = f"A {self.values[0]:.1f}, {self.letter} {self.values[1]:.1f}"
        return f"{self.dataset}, id {self.row.get('id')}: {self.metric} of {scored}"

    @property
    def texts(self) -> list[str]:
        """What was asked, what is right, and the two answers."""
        row = self.row
        question = "\n\n".join(part for part in (row.get("instruction"), row.get("input")) if part)
        return [question, " | ".join(row.get("answers") or [row["output"]]), *self.predictions]


def examples(own: list[Answers], count: int) -> Iterator[Example]:
    """So many rows of a dataset at most where the baseline loses most, and wins most, to each other model; by the
    metric of its task that says most of a single row."""
    baseline = own[0]
    if not count or baseline.task is None or baseline.task not in registry.TASKS:
        return
    task = registry.TASKS[baseline.task]
    found = [task.metrics[task.of_a_row](part.rows, baseline.language or "", None) for part in own]
    first, *others = [measured.of_each_row() for measured in found if measured is not None]
    for number, second in enumerate(others, start=1):
        gaps = second - first
        order = np.argsort(-gaps, kind="stable").tolist()
        most = [row for row in order[:count] if gaps[row] > 0] + [row for row in order[-count:] if gaps[row] < 0]
        for row in most:
            values = float(first[row]), float(second[row])
            predictions = baseline.rows[row]["prediction"], own[number].rows[row]["prediction"]
            yield Example(baseline.name, task.of_a_row, number, baseline.rows[row], values, predictions)


def text(example: Example) -> str:
    """An example for a terminal."""
    labels = ("asked", "right", "A", example.letter)
    lines = [
        textwrap.indent(textwrap.shorten(own, LONGEST, placeholder=" …").translate(CONTROL), f"  {label:<7}")
        for label, own in zip(labels, example.texts, strict=True)
    ]
    return "\n".join([example.title, *lines])
