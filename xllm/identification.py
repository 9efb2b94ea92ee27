"""Whether a text is in the language that it should be in, where that can be told.

Names, numbers, addresses and code stand in texts of every language: they tell nothing. A text in another script is in
another language, however short. In the same script, fastText's lid.176 decides, which guesses at a few words: it counts
from WORDS on, with a margin, and between languages that are alike (NEAR) only for longer texts. What isn't told isn't
wrong.
"""

from functools import cache
from typing import NamedTuple

import regex
from babel.core import get_global

from xllm import languages
from xllm.languages import ALIKE, HAN, KANA, base, script

WORDS, SURE = 4, 0.8  # from so many words on, a probability from which another language is told
MANY, LIKELY = 10, 0.5  # and for longer texts
VERY_SURE = 0.9  # of longer texts in languages that are alike
GLANCE = 20  # characters
LEFT = 0.1  # of probability that the expected language may have, at most
PLAINLY, FEW = 2, 3  # times as much of one script as of another, and so many words where there are some of both
SIGNATURE = f"lid.176.ftz|words:{WORDS}/{MANY}|sure:{SURE}/{LIKELY}/{VERY_SURE}"

# languages that are alike: a few words of one are often taken for another
NEAR = tuple(
    frozenset(group.split())
    for group in (
        "da no nb nn sv",
        "cs sk",
        "sl hr bs sh sr",
        "bg mk sr",
        "ru uk be rue bg mk",
        "es pt gl ast an ca oc mwl",
        "it scn lmo vec nap pms sc rm eml co",
        "fr oc wa ca",
        "de als bar lb nds",
        "nl af nds li vls fy",
        "en sco",
        "id ms jv su min",
        "tl fil ceb war pam bcl ilo",
        "hi mr ne sa mai bh gom new dty",
        "bn as bpy",
        "ar arz fa mzn lrc ps ur ckb pnb sd ug azb",
        "tr az tk",
        "kk ky tt ba cv tyv sah krc",
        "fi et vep",
        "zh ja",
    )
)
SAME = (*ALIKE, {"ar", "arz"})

# what stands in texts of every language
FENCED = regex.compile(r"```(?s:.*?)(?:```|\Z)")
PROGRAM = regex.compile(  # in a line of code
    r"[;{}]\s*$|=>|[=!<>]=|\p{L}\((?:\)|[\"']|\w{1,30}[,=])|\p{L} = \S"
    r"|^\s*(?:#include|import|def|class|SELECT|FROM|WHERE)\b(?=.*[*=:.<'])"
)
SIGNS = regex.compile(
    r"`[^`\n]*`|(?<![\w.+-])[\w.+-]++@[\w.-]+|\b(?:https?://|www\.)\S+|(?<![\w-])[\w-]++(?:\.[\w-]++)++(?:/\S*)?"
    r"|(?<![\w./-])[\w.-]*+/[\w./-]*\w|</?\p{L}[^<>\n]{0,200}>|&\w+;|\\\p{L}+"  # addresses, paths, tags
    r"|[@#$%&]\w+|\b(?=\w*[_\d])\w++|\b\p{Ll}++\p{Lu}\w*+"  # variables, numbers
)
APART = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Latin}"  # scripts that stand beside others without a space
WORD = regex.compile(
    rf"\p{{Han}}+|[\p{{Hiragana}}\p{{Katakana}}ー]+|\p{{Latin}}[\p{{Latin}}\p{{M}}'’]*|[\p{{L}}--[{APART}]][[\p{{L}}\p{{M}}'’\u200c\u200d]--[{APART}]]*",
    regex.VERSION1,
)
LATIN = regex.compile(r"\p{Latin}")
LOWER = regex.compile(r"\p{Ll}{2,}")


class Weight(NamedTuple):
    """How much of a text is in scripts of the expected language, and in others, in words. Of Latin words only those
    in small letters count where most may be names."""

    own: float
    other: float
    sample: str  # a letter of the most frequent other script


def told(text: str, expected: str) -> str | None:
    """The language of a text: `expected` (a code, whose language alone is named), another one, or None where that can't
    be told."""
    if _plainly(text, expected):
        return base(expected)
    text = _cleaned(text)
    weight = _weighed(text, expected)
    if weight.other > PLAINLY * weight.own and (not weight.own or weight.other >= FEW):
        return _in_script(text, weight)
    return _by_model(text, base(expected), weight.own) if weight.own > PLAINLY * weight.other else None


def _plainly(text: str, expected: str) -> bool:
    """Whether a text is in a language at first sight, as most are: the rest takes six times as long."""
    own = _letters(scripts(expected))
    if len(text) < GLANCE or not own.match(next(filter(str.isalpha, text), "")):
        return False
    code, probability = languages.identify(text, expected)
    return code == base(expected) and probability >= SURE


def _cleaned(text: str) -> str:
    """A text without what stands in texts of every language. One in capitals alone is made small, which tells words
    from names, if it's clearly in a language then, and not a list of abbreviations."""
    lines = [line for line in FENCED.sub(" ", text).splitlines() if not PROGRAM.search(line)]
    text = " ".join(SIGNS.sub(" ", "\n".join(lines)).split())
    words = [word for word in WORD.findall(text) if LATIN.match(word)]
    if len(words) > WORDS and all(map(str.isupper, words)) and max(_guesses(text.lower()).values()) >= SURE:
        return text.lower()
    return text


def _weighed(text: str, expected: str) -> Weight:
    own, found, kana = _letters(scripts(expected)), 0.0, 0
    others: dict[str, tuple[float, str]] = {}  # script → weight, a letter
    words = [word for word in WORD.findall(text) if len(word) > 1 or languages.SINGLE.match(word)]
    names = sum(LATIN.match(word) is not None and not LOWER.match(word) for word in words)  # or what may be one
    small = sum(LATIN.match(word) is not None for word in words) - names
    for word in words:
        if LATIN.match(word) and (names > small or small < 2) and not LOWER.match(word):
            continue
        mass = len(word) / 2 if languages.SINGLE.match(word) else 1.0
        kana += KANA.match(word) is not None
        if own.match(word):
            found += mass
        else:
            script_of = _script(word[0])
            others[script_of] = (others.get(script_of, (0.0, ""))[0] + mass, word[0])
    if small < max(2, names):  # a few words in Latin letters are at home in all languages
        others.pop("Latn", None)
    other, sample = max(others.values(), default=(0.0, ""))
    if _script(sample) == "Kana" and kana > 1:  # Japanese: Chinese characters with particles between them
        found = 0.0
    return Weight(found, other, sample)


@cache
def scripts(code: str) -> frozenset[str]:
    """The scripts that a language is written in, by the CLDR."""
    language, likely = base(code), get_global("likely_subtags")
    found = {value.split("_")[1] for key, value in likely.items() if key.split("_")[0] == language}
    return frozenset(found | {script(code) or "Latn"})


PARTS = {**dict.fromkeys(HAN, ("Han", "Bopomofo")), "Jpan": ("Han", "Hiragana", "Katakana"), "Kore": ("Hangul",)}


@cache
def _letters(codes: frozenset[str]) -> regex.Pattern[str]:
    names = [name for code in codes for name in PARTS.get(code, (code,))]
    return regex.compile("|".join(rf"\p{{Script={name}}}" for name in sorted(names) if _known(name)) or r"\p{L}")


def _known(name: str) -> bool:
    try:
        regex.compile(rf"\p{{Script={name}}}")
    except regex.error:  # such as Latf, which is a way of writing Latn
        return False
    return True


@cache
def _script(letter: str) -> str:
    """The script of a letter."""
    if LATIN.match(letter):
        return "Latn"
    if KANA.match(letter):
        return "Kana"
    if not letter:
        return ""
    names = {value.split("_")[1] for value in get_global("likely_subtags").values()}
    return next((name for name in sorted(names) if _letters(frozenset({name})).match(letter)), "Zyyy")


def _in_script(text: str, weight: Weight) -> str | None:
    """The likeliest language of a text that is in another script. Where that is Latin, lid.176 must be sure
    of a few words: names and terms such as "van der Waals" and "Homo sapiens" are at home in all languages."""
    sample, guesses = weight.sample, _guesses(text)
    if LATIN.match(sample) and weight.other < WORDS and max(guesses.values()) < SURE:
        return None
    found = next((code for code in guesses if _writes(code, sample)), None)
    return found or get_global("likely_subtags").get(f"und_{_script(sample)}", "und").split("_")[0]


def _guesses(text: str, expected: str = "") -> dict[str, float]:
    """Languages and their probabilities by lid.176, the likeliest first."""
    ranked = languages.detector().detect(text, model="lite", k=20, threshold=0.0)
    found = {str(own["lang"]): float(own["score"]) for own in ranked}
    if (
        "ja" in found and expected != "ja" and not KANA.search(text)
    ):  # it takes much Chinese for Japanese, which is seldom without kana
        found["zh"] = found.get("zh", 0.0) + found.pop("ja")
    return found


def _by_model(text: str, language: str, words: float) -> str | None:
    found = _guesses(text, language)
    own = sum(score for code, score in found.items() if _same(code, language))
    written = _letters(scripts(language)).search(text)
    assert written is not None  # since it has words in these letters
    others = {code: score for code, score in found.items() if not _same(code, language)}
    rivals = {code: score for code, score in others.items() if _writes(code, written[0])}
    if not rivals:
        return language
    other = max(rivals, key=rivals.__getitem__)
    if own >= rivals[other]:
        return language if own >= LIKELY else None
    if own > LEFT:
        return None
    if any({other, language} <= group for group in NEAR):
        sure = words >= MANY and rivals[other] >= VERY_SURE
    else:
        sure = words >= WORDS and rivals[other] >= (LIKELY if words >= MANY else SURE)
    return other if sure else None


@cache
def _writes(code: str, letter: str) -> bool:
    """Whether a language has a letter in its scripts."""
    return _letters(scripts(code)).match(letter) is not None


@cache
def _same(code: str, language: str) -> bool:
    if code == language or (script(code) in HAN and script(language) in HAN):
        return True
    return any({code, language} <= group for group in SAME)
