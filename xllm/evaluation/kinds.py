"""What kind of answers a file holds: what its run.json says, and, where that says nothing, the command line."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from xllm import languages
from xllm.artifacts import answers
from xllm.artifacts.answers import Answers
from xllm.errors import XllmError
from xllm.records import TASKS


def read(file: Path, task: str | None, language: str | None) -> list[Answers]:
    """The answers in a file, each dataset's with its task and language as far as they are known."""
    return told(answers.of_file(file), task, language, f"{file.name.removesuffix(answers.ENDING)}.run.json")


def told(parts: list[Answers], task: str | None, language: str | None, where: str) -> list[Answers]:
    """The same, with `task` and `language` for those of which `where` names none, or a task that there isn't.

    Raises XllmError, naming both, where all of them have one already, and it is another.
    """
    if language is not None:
        languages.check(language)
    if task is not None and all(own.task in TASKS for own in parts):
        _check_same("task", task, [(own.name, str(own.task)) for own in parts], where)
    if language is not None and all(own.language for own in parts):
        _check_same("lang", language, [(own.name, str(own.language)) for own in parts], where)
    return [
        replace(own, task=own.task if own.task in TASKS else task or own.task, language=own.language or language)
        for own in parts
    ]


def _check_same(flag: str, given: str, known: Iterable[tuple[str, str]], where: str) -> None:
    for name, own in known:
        if own != given and (flag == "task" or _written(own) != _written(given)):
            what = "task" if flag == "task" else "language"
            raise XllmError(
                f"--{flag} has no effect on a model's answers where {where} says what they are: {name} has the {what} "
                f"{own}, not {given}"
            )


def _written(language: str) -> tuple[str, str | None]:
    """A language and its script: the same for zh, zho_Hans and cmn."""
    return languages.base(language), languages.script(language)


def unscored(own: Answers, command: str) -> str | None:
    """Why answers have no score, with what to type where that can be mended; None where they have one."""
    lacking = lacks(own)
    if not has_references(own):
        why = "none of its rows has a right answer; xllm judge A B compares two models' answers"
    elif not lacking:
        return None
    elif "task" not in lacking:
        why = "its loading script names no language"
    elif own.task is None:
        why = f"its loading script names no TASK ({', '.join(TASKS)})"
    else:
        why = f"its loading script names the TASK {own.task}, which is none of {', '.join(TASKS)}"
    flags = "".join(f" --{flag} {place}" for flag, place in lacking.items())
    return f"no score for {own.name}: {why}" + (f"; type: {command}{flags}" if has_references(own) else "")


def lacks(own: Answers) -> dict[str, str]:
    """The flags that answers need for a score, each with what stands for its value."""
    found = {} if own.task in TASKS else {"task": "TASK"}
    if not own.language and own.task != "label":  # the metrics of labels don't look at it
        found["lang"] = "LANGUAGE"
    return found


def has_references(own: Answers) -> bool:
    """Whether a right answer is known of any row."""
    return any(not all(map(languages.blank, (row.get("output", ""), *row.get("answers", ())))) for row in own.rows)
