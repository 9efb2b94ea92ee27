"""What is wrong with answers whatever their task: another language than it should be, nothing, cut off, a copy."""

from collections.abc import Callable, Iterator

from xllm import __version__, languages
from xllm.artifacts.answers import Answers
from xllm.artifacts.scores import Score
from xllm.evaluation.intervals import share
from xllm.records import AnsweredRow

KINDS = ("wrong_language", "empty", "cut", "copy", "failed")
LONG_ENOUGH = 20  # letters' bytes in UTF-8, below which a language can't be told
SURE = 0.5  # the probability from which an identified language counts


def shares(answers: Answers) -> list[Score]:
    """How many in a hundred answers have each of KINDS of flaws: in another language than they should be (of those
    whose language can be told), empty, cut at the length limit, a copy of what was asked, and failed."""
    kinds: dict[str, Callable[[AnsweredRow], bool]] = {
        "empty": lambda row: languages.blank(row["prediction"]) and "failed" not in row,
        "cut": lambda row: bool(row.get("cut")),
        "copy": copied,
        "failed": lambda row: "failed" in row,
    }
    signature = f"xllm:{__version__}"
    found = [share(name, [kind(row) for row in answers.rows], signature) for name, kind in kinds.items()]
    expected = language_asked(answers)
    if expected is None:
        return found
    told = [told_language(row["prediction"], expected) for row in answers.rows]
    wrong = [language != expected for language in told if language]
    return [share("wrong_language", wrong, f"lid.176.ftz|sure:{SURE}|bytes:{LONG_ENOUGH}|{signature}"), *found]


def language_asked(answers: Answers) -> str | None:
    """The language that answers must be in, where there is one (labels may be in any) that can be identified."""
    if answers.task == "label" or not answers.language or not languages.identifiable(answers.language):
        return None
    return languages.base(answers.language)


def told_language(text: str, expected: str | None = None) -> str | None:
    """The language of a text, or None where it is too short or too mixed to tell."""
    if len("".join(filter(str.isalpha, text)).encode()) < LONG_ENOUGH:
        return None
    found, probability = languages.identify(text, expected)
    return found if probability >= SURE else None


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
