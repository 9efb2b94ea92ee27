"""Files of answers as the tab Browse shows them: the rows of a dataset, each with what several models answered."""

import html
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path

import regex

from xllm import languages, places
from xllm.artifacts import answers, model_folder
from xllm.artifacts.answers import answered
from xllm.errors import XllmError
from xllm.evaluation.metrics.question_answering import exact_match, f1
from xllm.files import read_json

# units of text as everywhere, spaces, and all else by what is seen as one character, such as an emoji of several
TOKENS = regex.compile(rf"{languages.UNIT.pattern}|\s+|[\p{{L}}\p{{Cf}}]|\X", regex.VERSION1)
LONGEST = 4000  # tokens that are compared with others, which takes time with their square


@dataclass(frozen=True)
class Row:
    """What was asked, the right answers, and by model what was answered, its score (0 to 100) and its language."""

    instruction: str
    input: str
    golds: list[str]
    predictions: dict[str, str]
    scores: dict[str, float | None]
    languages: dict[str, str | None]


def files(given: dict[str, str]) -> dict[str, dict[str, Path]]:
    """The files of answers by dataset and by the model's name on the page, which is `given` with where the model is;
    the other models under model/ go by their folders' names."""
    folders = {name: Path(source) for name, source in given.items()}
    folders |= {folder.name: folder for folder in sorted(places.models().glob("*")) if folder.name not in given}
    found: dict[str, dict[str, Path]] = {}
    for name, folder in folders.items():
        if not model_folder.is_finished(folder):
            continue
        for dataset, path in answered(folder / "test").items():
            found.setdefault(dataset, {})[name] = path
    return dict(sorted(found.items()))


def read(paths: dict[str, Path]) -> tuple[list[Row], int]:
    """The rows that all of these models' files of one dataset have, asked alike, and how many others there are. Raises
    XllmError for a file that can't be read."""
    return _read(tuple((model, path, _written(model, path)) for model, path in paths.items()))


@lru_cache(maxsize=4)
def _read(files: tuple[tuple[str, Path, tuple[int, ...]], ...]) -> tuple[list[Row], int]:
    by_model = {model: _by_question(model, path) for model, path, _ in files}
    told = {model: _kinds(path) for model, path, _ in files}
    unscored = {model for model, kinds in told.items() if kinds is None}
    kinds = {name: kind for own in reversed(told.values()) for name, kind in (own or {}).items()}
    every, found = {question for rows in by_model.values() for question in rows}, []
    for question, row in by_model[files[0][0]].items():
        if all(question in rows for rows in by_model.values()):
            answered = {model: rows[question]["prediction"] for model, rows in by_model.items()}
            found.append(_row(row, answered, kinds.get(row.get("from"), (None, "en")), unscored))
    return found, len(every) - len(found)


def _row(row: dict, answered: dict[str, str], kind: tuple[str | None, str], unscored: set[str]) -> Row:
    golds = [gold for gold in row.get("answers") or [row.get("output", "")] if not languages.blank(gold)]
    return Row(
        row.get("instruction", ""),
        row.get("input", ""),
        golds,
        answered,
        {model: None if model in unscored else score(text, golds, *kind) for model, text in answered.items()},
        {model: languages.identify(text)[0] if not languages.blank(text) else None for model, text in answered.items()},
    )


def score(prediction: str, golds: list[str], task: str | None, language: str) -> float | None:
    """How near a prediction is to the nearest right answer, 0 to 100: F1 of short answers, exact match of labels, else
    chrF; None where there is no right answer."""
    if not golds:
        return None
    if task in ("qa", "mlqa"):
        return f1(prediction, golds, language)
    if task == "label":
        return exact_match(prediction, golds, language)
    from sacrebleu import sentence_chrf

    return max(sentence_chrf(prediction, [gold]).score for gold in golds)


@contextmanager
def _naming(model: str, path: Path) -> Iterator[None]:
    """Name a file by its model where it can't be read: where the machine keeps it is nobody's business on the page."""
    name = f"{path.name} of {model}"
    try:
        yield
    except OSError as error:  # a file that is gone since it was listed, for example
        raise XllmError(f"cannot read {name}: {error.strerror}") from error
    except XllmError as error:
        raise XllmError(str(error).replace(str(path), name)) from error


def _written(model: str, path: Path) -> tuple[int, ...]:
    """When a file of answers was written, and its run.json."""
    with _naming(model, path):
        return tuple(file.stat().st_mtime_ns for file in (path, answers.facts_of(path)) if file)


def _by_question(model: str, path: Path) -> dict[tuple, dict]:
    """The rows of a file by all that they ask; those without an id are told apart by their number, too."""
    found = {}
    with _naming(model, path):
        for number, row in enumerate(answers.read(path)):
            question = json.dumps(answers.asked(row), sort_keys=True)
            found[question, None if "id" in row else number] = row
    return found


def _kinds(path: Path) -> dict[str, tuple[str | None, str]] | None:
    """The task and the language of each dataset in a file: none where it has no run.json, None where that is broken,
    so that nobody knows how to score it."""
    facts = answers.facts_of(path)
    if facts is None:
        return {}
    try:
        terms = read_json(facts)["mixture"]["terms"]
        kinds = {term["from"]: (term.get("task"), term.get("language") or "en") for term in terms}
    except (XllmError, OSError, ValueError, KeyError, TypeError):  # its rows can be read all the same
        return None
    known = all(isinstance(task, str | None) and isinstance(language, str) for task, language in kinds.values())
    return kinds if known else None


@dataclass(frozen=True)
class Filter:
    """Rows with a text anywhere in them, and with an answer of this language whose score lies in these bounds."""

    text: str = ""
    language: str | None = None
    least: float = 0
    most: float = 100

    def __call__(self, row: Row) -> bool:
        texts = (row.instruction, row.input, *row.golds, *row.predictions.values())
        if self.text and not any(self.text.lower() in text.lower() for text in texts):
            return False
        return any(
            self.language in (None, row.languages[model]) and (score is None or self.least <= score <= self.most)
            for model, score in row.scores.items()
        )


def differences(text: str, gold: str) -> str:
    """A text as escaped HTML: what the gold text lacks in <ins>, what it has besides in <del>."""
    ours, theirs = TOKENS.findall(text), TOKENS.findall(gold)
    if max(len(ours), len(theirs)) > LONGEST:
        return html.escape(text)
    parts = []
    for change, a, b, c, d in SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes():
        gone, come = html.escape("".join(theirs[a:b])), html.escape("".join(ours[c:d]))
        if change == "equal":
            parts.append(come)
            continue
        parts += [f"<del>{gone}</del>"] if gone else []
        parts += [f"<ins>{come}</ins>"] if come else []
    return "".join(parts)
