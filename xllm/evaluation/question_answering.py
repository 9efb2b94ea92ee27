"""Exact match and F1 of short answers, as the official scorer of MLQA computes them
(https://github.com/facebookresearch/MLQA, mlqa_evaluation_v1.py; for English it is that of SQuAD v1.1).

The official scorer knows ar, de, en, es, hi, vi and zh; other languages get the same rule, with the articles below.
"""

import re
import string
import sys
import unicodedata
from collections import Counter
from functools import cache

from xllm.languages import base

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

# languages written without spaces: each of these characters is a word of its own
SINGLE = {
    "zh": r"[\u4e00-\u9fa5]",
    "ja": r"[\u3040-\u30ff\u4e00-\u9fa5]",
    "th": r"[\u0e00-\u0e7f]",
}


def exact_match(prediction: str, golds: list[str], language: str) -> float:
    """100 if the prediction equals one of the gold answers after normalisation, else 0."""
    return 100.0 * any(normalise(prediction, language) == normalise(gold, language) for gold in golds)


def f1(prediction: str, golds: list[str], language: str) -> float:
    """The F1 (0 to 100) of the words that prediction and gold answer share, for the gold answer where it is best."""
    return max(_f1(normalise(prediction, language).split(), normalise(gold, language).split()) for gold in golds)


def _f1(prediction: list[str], gold: list[str]) -> float:
    shared = (Counter(prediction) & Counter(gold)).total()
    if not shared:
        return 0.0
    precision, recall = shared / len(prediction), shared / len(gold)
    return 100 * 2 * precision * recall / (precision + recall)


def normalise(text: str, language: str) -> str:
    """Lower case, no punctuation, no articles, one space between words."""
    language = base(language)
    text = "".join(character for character in text.lower() if character not in punctuation())
    if language in ARTICLES:
        text = re.sub(ARTICLES[language], " ", text)
    if language in SINGLE:
        text = re.sub(f"({SINGLE[language]})", r" \1 ", text)
    return " ".join(text.split())


@cache
def punctuation() -> frozenset[str]:
    """Every character of the Unicode categories P*, and the symbols of ASCII."""
    unicode = (chr(i) for i in range(sys.maxunicode) if unicodedata.category(chr(i)).startswith("P"))
    return frozenset(unicode) | frozenset(string.punctuation)
