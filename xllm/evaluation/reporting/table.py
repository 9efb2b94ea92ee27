"""The scores of several models in one table, with their averages.

What stands in one line was measured alike: the same metric with the same signature, over as many rows of the same
dataset, and over the same ones where run.json says which these were. A model that was scored otherwise has a line of
its own, so that no reader compares what can't be compared.

Averages are plain means over datasets (macro averages), by task and metric and by language and metric, never over
different metrics, whose scales differ. A dataset counts once, by its line with the most rows. Only datasets that every
model has a score of count, and the average's name says how many these are: were each model averaged over the datasets
it happens to have, one with an easy dataset more would win. What that leaves out is still in the table.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from xllm.artifacts import file_names, scores
from xllm.artifacts.answers import ENDING
from xllm.artifacts.scores import LOWER_IS_BETTER, Score, Scored
from xllm.errors import XllmError
from xllm.files import read_json, sha256

LONGEST_LABEL = 24  # characters of a model's name at the head of a column; if one is longer, all get numbers
DIGITS = 2  # behind the point, in every table


@dataclass(frozen=True)
class Answered:
    """The scores of a model's answers to one dataset, and what made them."""

    dataset: str
    scored: Scored
    facts: dict  # of the file of scores
    run: dict  # run.json of the answers; empty for answers from elsewhere
    rows: str | None  # the sha256 of the ids of the answered rows, where it is known


@dataclass(frozen=True)
class Model:
    name: str
    run: dict  # its run.json; empty where there is none
    answered: list[Answered]


@dataclass(frozen=True)
class Cell:
    """One model's score in a line."""

    score: Score
    answered: Answered


@dataclass(frozen=True)
class Alike:
    """What scores must have in common to stand in one line."""

    dataset: str
    source: str  # the dataset's own name, without a slice, or the mixture in which it was answered
    language: str | None
    task: str | None
    metric: str
    signature: str
    count: int  # of rows
    rows: str | None  # which ones


@dataclass(frozen=True)
class Line(Alike):
    """What all models score in one metric of one dataset, measured alike."""

    cells: tuple[Cell | None, ...]  # one a model

    @property
    def values(self) -> list[float | None]:
        return [cell.score.value if cell else None for cell in self.cells]

    @property
    def signatures(self) -> list[str]:
        return [self.signature]


@dataclass(frozen=True)
class Average:
    """The mean over the datasets of a group, of those that every model has."""

    name: str
    task: str | None
    language: str | None
    metric: str
    over: list[Line]
    values: list[float | None]  # one a model; None where there is no dataset that all models have

    @property
    def signatures(self) -> list[str]:
        return list(dict.fromkeys(line.signature for line in self.over))


@dataclass(frozen=True)
class Table:
    models: list[Model]
    lines: list[Line]
    averages: list[Average]

    @cached_property
    def labels(self) -> list[str]:
        """What the models are called at the heads of columns: their names, or M1, M2, … where these are long."""
        names = [model.name for model in self.models]
        if max(map(len, names)) <= LONGEST_LABEL:
            return names
        return [f"M{number}" for number in range(1, len(names) + 1)]

    @property
    def all_lines(self) -> list[Line | Average]:
        return [*self.lines, *self.averages]

    @property
    def heading(self) -> str:
        return f"Scores of {len(self.models)} model{'s' if len(self.models) > 1 else ''}"

    @property
    def numbered(self) -> bool:
        """Whether the labels need a legend."""
        return self.labels != [model.name for model in self.models]

    @property
    def metrics(self) -> list[str]:
        return list(dict.fromkeys(line.metric for line in self.lines))

    @property
    def shares(self) -> list[Score]:
        return [share for model in self.models for own in model.answered for share in own.scored.shares]

    @cached_property
    def marks(self) -> dict[str, int]:
        """The signatures of all numbers of the report, each with the number of its footnote."""
        every = dict.fromkeys([line.signature for line in self.lines] + [share.signature for share in self.shares])
        return {signature: number for number, signature in enumerate(every, start=1)}

    def footnotes(self, signatures: Iterable[str]) -> str:
        """The numbers of these signatures' footnotes: "1, 3-5"."""
        runs: list[list[int]] = []
        for mark in sorted({self.marks[signature] for signature in signatures}):
            if runs and runs[-1][-1] == mark - 1:
                runs[-1].append(mark)
            else:
                runs.append([mark])
        return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)

    def dataset(self, line: Line) -> str:
        """A line's dataset, with what tells it apart where several lines have it."""
        same = [own for own in self.lines if (own.dataset, own.metric) == (line.dataset, line.metric)]
        if len(same) == 1:
            return line.dataset
        return f"{line.dataset}, {self.rows(line)} rows [{self.marks[line.signature]}]"

    def rows(self, line: Line) -> str:
        """How many rows a line has; and which, where others have as many, but different ones."""
        kinds = {own.rows for own in self.lines if (own.dataset, own.count) == (line.dataset, line.count)}
        return f"{line.count:,}" + (f" (ids {str(line.rows)[:6]})" if len(kinds) > 1 else "")


def make(models: list[Model]) -> Table:
    lines = _lines(models)
    return Table(models, lines, _averages(lines, len(models)))


def best(metric: str, values: Iterable[float | None]) -> str | None:
    """The best of several values as text; None where there is nothing to choose from."""
    there = [value for value in values if value is not None]
    if len(there) < 2:
        return None
    return number((min if metric in LOWER_IS_BETTER else max)(there))


def number(value: float) -> str:
    return f"{value:.{DIGITS}f}"


def _lines(models: list[Model]) -> list[Line]:
    found: dict[Alike, dict[int, Cell]] = {}
    order: list[str] = []
    which: dict[Alike, str] = {}  # the rows of those that don't say, if there is one that does
    cells: list[tuple[Alike, int, Cell]] = []
    for place, model in enumerate(models):
        for own in model.answered:
            for score in own.scored.scores:
                scored = own.scored
                source = "".join((scored.name, *own.dataset.partition(".judge")[1:]))  # each judgement is one
                made = (score.metric, score.signature, score.count)
                alike = Alike(own.dataset, source, scored.language, scored.task, *made, rows=None)
                cells.append((alike, place, Cell(score, own)))
                order.append(score.metric)
                if own.rows:
                    which.setdefault(alike, own.rows)
    for alike, place, cell in cells:
        rows = cell.answered.rows or which.get(alike)
        found.setdefault(replace(alike, rows=rows), {})[place] = cell
    lines = [Line(**vars(alike), cells=tuple(map(own.get, range(len(models))))) for alike, own in found.items()]
    return sorted(lines, key=lambda line: (line.task or "", line.dataset, order.index(line.metric)))


def _averages(lines: list[Line], models: int) -> list[Average]:
    groups: dict[tuple, list[Line]] = {}
    for line in lines:
        groups.setdefault((line.task, None, line.metric), []).append(line)
    for line in lines:
        if line.language:
            groups.setdefault((None, line.language, line.metric), []).append(line)
    found: dict[tuple, Average] = {}
    for (task, language, metric), own in groups.items():
        datasets, over = {line.source for line in own}, _once(line for line in own if None not in line.cells)
        # what is averaged by task and again by language is shown once
        if len(datasets) > 1 and (key := tuple(map(id, own))) not in found:
            of = "" if len(over) == len(datasets) else f"{len(over)} of "
            name = f"{task or language or 'no task'}: average of {of}{len(datasets)} datasets"
            values = [sum(column) / len(over) for column in zip(*(line.values for line in over), strict=True)]
            found[key] = Average(name, task, language, metric, over, values or [None] * models)
    return list(found.values())


def _once(lines: Iterable[Line]) -> list[Line]:
    """The line with the most rows of each dataset, which may be scored in slices and in mixtures, too."""
    found: dict[str, Line] = {}
    for line in lines:
        if line.source not in found or line.count > found[line.source].count:
            found[line.source] = line
    return list(found.values())


def read(name: str, folder: Path) -> Model:
    """What a model's folder has of scores; those of other answers than are there now are left out, and told.

    Raises XllmError for a file that another version has written, or that is torn."""
    files = file_names.listed(folder / "test", scores.ENDING)
    taken, answered = set(files), []
    for stem, path in files.items():
        answers = path.name.removesuffix(scores.ENDING).partition(".judge")[0]  # a judge's scores are of these, too
        facts, found = scores.read(path)
        if problem := _stale(facts, path.with_name(f"{answers}{ENDING}")):
            print(f"left out: {path}, {problem}", file=sys.stderr)
            continue
        run = _facts(path.with_name(f"{answers}.run.json"))
        for scored in found:
            dataset = stem
            if len(found) > 1:  # several datasets were answered as one mixture
                dataset = scored.name if scored.name not in taken else f"{scored.name} ({stem})"
                taken.add(dataset)
            answered.append(Answered(dataset, scored, facts, run, run.get("ids_sha256") if len(found) == 1 else None))
    return Model(name, _facts(folder / "run.json"), answered)


def _stale(facts: dict, answered: Path) -> str | None:
    """What is wrong where scores are of other answers than the file has."""
    if not answered.is_file() or sha256(answered) == facts["answers_sha256"]:
        return None
    return f"whose scores are of other answers than {answered.name} has now; score these anew"


def _facts(path: Path) -> dict:
    if not path.is_file():
        return {}
    facts = read_json(path)
    if not isinstance(facts, dict):
        raise XllmError(f"{path} holds a {type(facts).__name__}, not the facts of a run")
    command = facts.get("command", [])
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise XllmError(f"{path}: its 'command' isn't a list of words")
    if not isinstance(facts.get("mixture", {}), dict):
        raise XllmError(f"{path}: its 'mixture' isn't an object")
    return facts
