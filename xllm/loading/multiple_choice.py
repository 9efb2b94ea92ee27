"""Rows with a closed set of answers: what the loading scripts of such datasets share.

A record has `labels`, the texts that may be answered, and `output` is the right one of them. Published test sets may
lack the right answers; `output` is then "".
"""

import csv
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import datasets

from xllm import prompts
from xllm.errors import XllmError, unknown
from xllm.files import read_jsonl, read_lines
from xllm.records import COLUMNS, strings

TEXT = datasets.Value("string")
FEATURES = datasets.Features({**dict.fromkeys(COLUMNS, TEXT), "labels": datasets.List(TEXT)})

PARTS = {datasets.Split.VALIDATION: "val", datasets.Split.TEST: "test"}  # of an exam, beside the examples in "dev"
EXAM = ("question", *prompts.LETTERS, "answer")
SHOTS = 5  # examples before each question of an exam, as its authors ask it

Row = tuple[str, dict[str, str]]  # where a row stands, for messages, and its fields by name


def check_language(dataset: str, language: str, known: Iterable[str]) -> str:
    """Return `language`, or raise XllmError where it is none of `known`."""
    if language not in known:
        raise XllmError(f"unknown language of {dataset} {language!r}; available: {', '.join(known)}")
    return language


def splits(folder: str, files: dict[str, tuple[str, ...]], code: str) -> list[datasets.SplitGenerator]:
    """The splits that have a file, with its `path`: the first that exists of the names that published layouts give it,
    in which {} stands for the language's `code`.

    Where no split has one, all of them, so that a message can say which file is missing.
    """
    paths = {}
    for split, names in files.items():
        places = [Path(folder, name.format(code)) for name in names]
        paths[split] = next((place for place in places if place.exists()), places[0])
    there = {split: path for split, path in paths.items() if path.exists()}
    return [
        datasets.SplitGenerator(name=split, gen_kwargs={"path": str(path), "split": str(split)})
        for split, path in (there or paths).items()
    ]


def table(
    path: str, columns: tuple[str, ...], split: str, *, header: bool, delimiter: str = ",", quotes: bool = True
) -> Iterator[Row]:
    """The rows of a file of separated values, blank lines left out. Raises XllmError, naming file and line.

    With `header` the first row names the columns, which may be more than `columns`; else they are `columns`, in that
    order. The last of `columns` is the answer, which a test set may lack. Without `quotes`, a quote is a character
    like any other.
    """
    least = columns[:-1] if split == "test" else columns
    quoting: Any = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    lines = (f"{line}\n" for line in read_lines(path))
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    start = 1  # the line where a row begins: fields in quotes may hold line ends
    try:
        names = next(reader, []) if header else columns
        for column in least:
            if column not in names:
                raise XllmError(f"{path}, line 1 names no column {column!r}; it names {', '.join(names)}")
        sizes = {len(names)} if header else {len(columns), len(least)}
        start = reader.line_num + 1
        for fields in reader:
            place = f"{path}, line {start}"
            if fields and len(fields) not in sizes:
                raise XllmError(f"{place} has {len(fields)} fields, not {len(names)}: {', '.join(names)}")
            if fields:
                yield place, dict(zip(names, fields, strict=False))
            start = reader.line_num + 1
    except csv.Error as error:
        raise XllmError(f"{path}, line {start} can't be cut into fields: {error}") from None


def objects(path: str, columns: tuple[str, ...]) -> Iterator[Row]:
    """These columns of a JSON Lines file's rows, whole numbers as text. Raises XllmError, naming file and row."""
    rows = [
        {key: str(value) if type(value) is int else value for key, value in row.items()} if type(row) is dict else row
        for row in read_jsonl(path)
    ]
    for number, row in enumerate(strings(rows, columns, path), start=1):
        yield f"{path}, row {number}", row


def meaning(row: Row, column: str, meanings: dict[str, str]) -> str:
    """What the value in a row's `column` stands for. Raises XllmError, naming file and row, where it's none of them."""
    place, fields = row
    if fields[column] not in meanings:
        raise XllmError(f"{place}: {column!r} is {fields[column]!r}; it must be one of {', '.join(meanings)}")
    return meanings[fields[column]]


def right(row: Row, column: str, meanings: dict[str, str], split: str) -> str:
    """The label that the value in a row's `column` stands for; "" where a test set lacks it."""
    return meaning(row, column, meanings) if row[1].get(column) or split != "test" else ""


def record(key: object, question: tuple[str, str], output: str, labels: Iterable[str]) -> tuple[Any, dict[str, Any]]:
    """A record as a loading script yields it; `question` is its instruction and its input."""
    instruction, text = question
    return key, {"id": str(key), "instruction": instruction, "input": text, "output": output, "labels": list(labels)}


def exams(dataset: str, folder: str, subject: str) -> list[datasets.SplitGenerator]:
    """The splits of {dev,val,test}/<subject>_{dev,val,test}.csv; `subject` may be "all", for all that are there.

    Each of `papers` is a subject, its file of examples, and its file of questions.
    """

    def path(subject: str, part: str) -> str:
        return str(Path(folder, part, f"{subject}_{part}.csv"))

    there = {
        split: [file.name.removesuffix(f"_{part}.csv") for file in sorted(Path(folder, part).glob(f"*_{part}.csv"))]
        for split, part in PARTS.items()
    }
    known = {name for names in there.values() for name in names}
    if known and subject not in {*known, "all"}:
        raise unknown(f"subject of {dataset}", subject, {*known, "all"})
    chosen = {split: [name for name in names if subject in (name, "all")] for split, names in there.items()}
    chosen = {split: names for split, names in chosen.items() if names} or {split: [subject] for split in PARTS}
    generators = []
    for split, names in chosen.items():
        papers = [[name, path(name, "dev"), path(name, PARTS[split])] for name in names]
        generators.append(datasets.SplitGenerator(name=split, gen_kwargs={"papers": papers, "split": str(split)}))
    return generators


def exam_questions(
    dataset: str, papers: list[list[str]], split: str, header: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and record of each question of an exam, after the examples of its subject."""
    letters = dict(zip(prompts.LETTERS, prompts.LETTERS, strict=True))
    for subject, examples, path in papers:
        shots = [
            row[1] | {"answer": meaning(row, "answer", letters)}
            for row in itertools.islice(table(examples, EXAM, "train", header=header), SHOTS)
        ]
        for number, row in enumerate(table(path, EXAM, split, header=header)):
            question = prompts.exam(dataset, subject, shots, row[1])
            yield record(f"{subject}-{number}", question, right(row, "answer", letters, split), letters)
