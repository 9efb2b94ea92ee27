"""What is wrong with answers whatever their task: another language than it should be, nothing, cut off, a copy."""

from collections.abc import Callable, Iterator

from xllm import __version__, identification, languages
from xllm.artifacts.answers import Answers
from xllm.artifacts.scores import Score
from xllm.evaluation.intervals import share
from xllm.evaluation.metrics.question_answering import SCORERS, exact_match
from xllm.records import AnsweredRow

KINDS = ("wrong_language", "empty", "cut", "copy", "failed")


def shares(answers: Answers) -> list[Score]:
    """How many in a hundred answers have each of KINDS of flaws: in another language than they should be (of those
    whose language can be told), empty, cut at the length limit, a copy of what was asked, and failed."""
    kinds: dict[str, Callable[[AnsweredRow], bool]] = {
        "empty": lambda row: languages.blank(row["prediction"]) and "failed" not in row,
        "cut": lambda row: bool(row.get("cut")),
        "copy": lambda row: copied(row) and not right(row, answers),
        "failed": lambda row: "failed" in row,
    }
    signature = f"xllm:{__version__}"
    found = [share(name, [kind(row) for row in answers.rows], signature) for name, kind in kinds.items()]
    expected = language_asked(answers)
    if expected is None:
        return found
    told = [told_language(row, answers) for row in answers.rows]
    wrong = [language != expected for language in told if language]
    return [share("wrong_language", wrong, f"{identification.SIGNATURE}|{signature}"), *found]


def language_asked(answers: Answers) -> str | None:
    """The language that answers must be in, where there is one (labels may be in any) that can be identified."""
    if answers.task == "label" or not answers.language or not languages.identifiable(answers.language):
        return None
    return languages.base(answers.language)


def told_language(row: AnsweredRow, answers: Answers) -> str | None:
    """The language of an answer, or None where that can't be told (`identification`). One that is right is in the
    language that it should be in."""
    expected = language_asked(answers)
    found = identification.told(row["prediction"], answers.language) if expected and answers.language else None
    return expected if found not in (None, expected) and right(row, answers) else found


def right(row: AnsweredRow, answers: Answers) -> bool:
    """Whether an answer is one of the right ones, but for case and spaces; to questions, by their exact match."""
    golds = [gold for gold in row.get("answers") or [row.get("output", "")] if not languages.blank(gold)]
    if not golds or languages.blank(row["prediction"]):
        return False
    if scorer := SCORERS.get(answers.task or ""):
        return exact_match(row["prediction"], golds, answers.language or "", scorer) > 0
    return _plain(row["prediction"]) in map(_plain, golds)


def copied(row: AnsweredRow) -> bool:
    """Whether an answer only repeats the instruction, the input, or a line of it, such as the question."""
    answer = _plain(row["prediction"])
    return bool(answer) and answer in map(_plain, _parts(row))


def _parts(row: AnsweredRow) -> Iterator[str]:
    yield from (row.get("instruction", ""), row.get("input", ""))
    for line in row.get("input", "").splitlines():
        yield from (line, line.partition(":")[2])


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
