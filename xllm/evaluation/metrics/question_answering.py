"""Exact match and F1 of short answers, as two official scorers compute them: that of MLQA
(https://github.com/facebookresearch/MLQA, mlqa_evaluation_v1.py), and that of SQuAD v1.1, which is the same rule for
English but takes only the punctuation of ASCII away.

MLQA's scorer knows ar, de, en, es, hi, vi and zh. Other languages get the same rule: el, ro and tr have articles, too,
and scripts without spaces are cut into characters as everywhere (`xllm.languages`), whatever the language. Punctuation
is taken out of words, as the scorers do, and doesn't part them.
"""

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import cache

from xllm import __version__
from xllm.evaluation.measured import Measured, mean
from xllm.languages import base, spaced
from xllm.records import AnsweredRow

MLQA, SQUAD = "mlqa_v1", "squad_v1.1"  # the scorers; SQUAD's differs for English alone

SCORERS = {"qa": SQUAD, "mlqa": MLQA}  # a loading script's TASK → its scorer

# what counts as an article, by language, once the text is in lower case and without punctuation
ARTICLES = {
    "ar": r"\sال^|ال",  # the official pattern, which takes the letters out wherever they stand
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "el": r"\b(ο|η|το|οι|τα|του|της|των|τον|την|τη|τους|τις|ένας|μία|μια|ένα|έναν|ενός|μιας)\b",
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "ro": r"\b(un|o|unui|unei|niște|unor)\b",
    "tr": r"\b(bir)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
}

KNOWN = ("ar", "de", "en", "es", "hi", "vi", "zh")  # to MLQA's scorer
CHINESE = re.compile(r"([\u4e00-\u9fa5])")  # of which it takes each for a word


def exact_match(prediction: str, golds: list[str], language: str, scorer: str = MLQA) -> float:
    """100 if the prediction equals one of the gold answers after normalisation, else 0."""
    found = normalise(prediction, language, scorer)
    return 100.0 * any(found == normalise(gold, language, scorer) for gold in golds)


def f1(prediction: str, golds: list[str], language: str, scorer: str = MLQA) -> float:
    """The F1 (0 to 100) of the words that prediction and gold answer share, for the gold answer where it is best."""
    found = normalise(prediction, language, scorer).split()
    return max(_f1(found, normalise(gold, language, scorer).split()) for gold in golds)


def contains(prediction: str, golds: list[str]) -> float:
    """100 if the prediction has one of the gold answers in it, letter by letter but for their case, else 0: the
    reference's way, which rewards long answers."""
    return 100.0 * any(gold and gold.lower() in prediction.lower() for gold in golds)


def measure_exact_match(scorer: str, rows: list[AnsweredRow], language: str, _: str | None) -> Measured:
    return _mean(rows, lambda answer, golds: exact_match(answer, golds, language, scorer), _signature(scorer, language))


def measure_f1(scorer: str, rows: list[AnsweredRow], language: str, _: str | None) -> Measured:
    return _mean(rows, lambda answer, golds: f1(answer, golds, language, scorer), _signature(scorer, language))


def measure_contains(scorer: str, rows: list[AnsweredRow], language: str, _: str | None) -> Measured:
    return _mean(rows, contains, f"case:lc|golds:all|xllm:{__version__}")


def _mean(rows: list[AnsweredRow], metric: Callable[[str, list[str]], float], signature: str) -> Measured:
    return mean([metric(row["prediction"], row.get("answers") or [row["output"]]) for row in rows], signature)


def _signature(scorer: str, language: str) -> str:
    scorer = scorer if base(language) == "en" else MLQA
    own = "" if base(language) in KNOWN else "tok:words+characters|"
    return f"{scorer}|lang:{language}|{own}golds:all|xllm:{__version__}"


def _f1(prediction: list[str], gold: list[str]) -> float:
    shared = (Counter(prediction) & Counter(gold)).total()
    if not shared:
        return 0.0
    precision, recall = shared / len(prediction), shared / len(gold)
    return 100 * 2 * precision * recall / (precision + recall)


def normalise(text: str, language: str, scorer: str = MLQA) -> str:
    """Lower case, no punctuation, no articles, one space between words."""
    language = base(language)
    signs = string.punctuation if scorer == SQUAD and language == "en" else punctuation()
    text = text.lower() if language in KNOWN else spaced(text.lower())
    text = "".join(character for character in text if character not in signs)
    if language in ARTICLES:
        text = re.sub(ARTICLES[language], " ", text)
    if language == "zh":
        text = CHINESE.sub(r" \1 ", text)
    return " ".join(text.split())


@cache
def punctuation() -> frozenset[str]:
    """Every character of the Unicode categories P*, and the symbols of ASCII."""
    unicode = (chr(i) for i in range(sys.maxunicode) if unicodedata.category(chr(i)).startswith("P"))
    return frozenset(unicode) | frozenset(string.punctuation)
