"""Several references in one text: datasets of simplifications (MCTS) have them as a list in the column `output`."""

import ast
import io
import json
import tokenize
import warnings
from collections.abc import Callable
from typing import Any

from xllm.records import AnsweredRow

TASKS = ("simplification",)  # elsewhere, a list is a text like any other


def apart(task: str | None, rows: list[AnsweredRow]) -> list[AnsweredRow]:
    """The rows of a task, those whose `output` is a list with what it lists as `answers`."""
    return [_apart(row) for row in rows] if task in TASKS else rows


def _apart(row: AnsweredRow) -> AnsweredRow:
    listed = [] if row.get("answers") else texts(row["output"])
    return row | {"output": listed[0], "answers": listed} if listed else row


def texts(text: str) -> list[str]:
    """The texts of a list of nothing else, as JSON, Python or numpy writes it: ["…", "…"], ['…', '…'], ['…' '…'].
    Empty for any other text."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a backslash, which needn't be doubled
        for read in READERS:
            try:
                found = read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(found, list) and all(isinstance(one, str) for one in found):
                return found
    return []


def _literals(text: str) -> list[str]:
    """The strings of a list as Python or numpy writes it. Raises ValueError or SyntaxError where it is none."""
    found = ast.literal_eval(text)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError
    # one by one: to Python, strings without commas between them are one string
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [ast.literal_eval(token.string) for token in tokens if token.type == tokenize.STRING]


READERS: tuple[Callable[[str], Any], ...] = (json.loads, _literals)
