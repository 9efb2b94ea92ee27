"""Answers by way of English: the model translates the input first, line by line, and then answers it."""

import re
from collections.abc import Sequence

from xllm import languages
from xllm.errors import XllmError
from xllm.mixture.mixture import DatasetFacts, Mixture
from xllm.prompts import TRANSLATION
from xllm.records import AskedRow, Row

LEAD = re.compile(r"\s*(?:[A-Z][.)]|-)\s+")  # an option's letter or dash
ENGLISH = "en"


def check(mixture: Mixture) -> None:
    """Raise XllmError where there is nothing to translate, or it isn't known from which language."""
    for term in mixture.terms:
        language = _language(term)
        if language is None:
            hint = "" if term.task == "translation" else "; give --lang LANGUAGE"
            raise XllmError(f"--transcot: the loading script of {term.name} names no language to translate from{hint}")
        if languages.base(language) == ENGLISH:
            raise XllmError(f"--transcot: {term.name} is in English already")


def questions(rows: Sequence[Row], mixture: Mixture) -> dict[str, tuple[str, str]]:
    """What is to be translated: a key for each line in a language, and its (instruction, input)."""
    sources = {term.name: _language(term) for term in mixture.terms}
    wanted = {}
    for row in rows:
        source = sources[row["from"]]
        assert source is not None  # or `check` had refused it
        instruction = TRANSLATION[0].format(source=languages.name(source), target=languages.name(ENGLISH))
        for _, line in _lines(row):
            if line:
                wanted[f"{source} {line}"] = (instruction, line)
    return wanted


def translated(row: Row, mixture: Mixture, found: dict[str, str]) -> AskedRow:
    """A record with its input in English, as far as lines were translated, and the original as `original_input`."""
    source = next(_language(term) for term in mixture.terms if term.name == row["from"])
    lines = [lead + (" ".join(found.get(f"{source} {line}", "").split()) or line) for lead, line in _lines(row)]
    before, blank, _ = _blocks(row)
    return {**row, "input": before + blank + "\n".join(lines), "original_input": row["input"]}


def _language(term: DatasetFacts) -> str | None:
    """That of the inputs; of a translation, --lang says the target's alone."""
    return term.source_language or (None if term.task == "translation" else term.language)


def _blocks(row: Row) -> tuple[str, str, str]:
    """Examples, a blank line, and the question, of an exam's input; of any other, all of it is the question."""
    return row["input"].rpartition("\n\n") if "labels" in row else ("", "", row["input"])


def _lines(row: Row) -> list[tuple[str, str]]:
    """The lines of a question, each as what is left alone and what is translated: not the letters of options, nor what
    may be answered word for word."""
    found = []
    for line in _blocks(row)[2].split("\n"):
        lead = match.group() if (match := LEAD.match(line)) else ""
        alone = line[len(lead) :] in row.get("labels", ()) or languages.blank(line[len(lead) :])
        found.append((line, "") if alone else (lead, line[len(lead) :]))
    return found
