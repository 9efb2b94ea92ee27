"""YES or NO, as `prompts.JUDGE_ANSWER` asks for it: alone, at the start, after a heading of any language, in JSON."""

from collections.abc import Iterator
from typing import Any

import regex

from xllm.evaluation.judging.replies import NOTHING, TWO, Unread, json_in

# Judges may answer in the language of the question, and where "no" is the same word as in English, "sí" must count, too
YES = "yes|ja|oui|sí|sì|sim|да|da|ναι|evet|có|نعم|जी हाँ|हाँ|हां|ใช่|是的|是|はい|네|예"
NO = "no|nein|non|não|нет|nu|όχι|hayır|hayir|không|لا|जी नहीं|नहीं|ไม่ใช่|不是|否|いいえ|아니요|아니오"
END = r"(?=\s*(?:[^\w\s/|]|\n|\Z))(?!\.\s*\d)"  # not of YES/NO, nor of No. 5
WORD = rf"(?:(?P<yes>{YES})|(?P<no>{NO})){END}"
START = regex.compile(rf"\W*{WORD}", regex.IGNORECASE)
EDGE = r"[^\w\n]{0,20}"
HEADED = regex.compile(rf"^[^:=?？\n]{{1,60}}[:=?？]{EDGE}{WORD}", regex.IGNORECASE | regex.MULTILINE)
ALONE = regex.compile(rf"^{EDGE}(?:\d{{1,2}}[.)]{EDGE})?{WORD}{EDGE}$", regex.IGNORECASE | regex.MULTILINE)
IN_PASSING = regex.compile(rf"(?<![\w'’])(?:(?P<yes>yes)|(?P<no>no)){END}", regex.IGNORECASE)
QUOTED = regex.compile(r"""“[^”\n]*”|"[^"\n]*"|«[^»\n]*»|「[^」\n]*」|‘[^’\n]*’|(?<!\w)'[^'\n]*'(?!\w)""")
TOLD = regex.compile(r"answer|verdict|right|correct|result|decision|judge?ment|label", regex.IGNORECASE)  # keys in JSON


def yes_or_no(text: str) -> str:
    """YES or NO in a plain text. Raises Unread where it says neither, or both."""
    found = [own for value in json_in(text) for own in _yes_or_no_in(value)]
    if start := START.match(text):
        found.append(_word(start))
    found += [_word(own) for pattern in (HEADED, ALONE) for own in pattern.finditer(text)]
    if not found:
        raise Unread(NOTHING)
    rest = QUOTED.sub("", text[start.end() :] if start else text)
    found += [_word(own) for own in IN_PASSING.finditer(rest)]
    if len(set(found)) > 1:
        raise Unread(TWO)
    return found[0]


def _word(found: regex.Match[str]) -> str:
    return "YES" if found["yes"] else "NO"


def _yes_or_no_in(value: Any) -> Iterator[str]:
    for key, own in _pairs(value):
        if isinstance(own, bool) and TOLD.search(key):
            yield "YES" if own else "NO"
        elif isinstance(own, str) and (whole := ALONE.fullmatch(own)):
            yield _word(whole)


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """All keys of all objects in JSON, and what stands there; what is in a list has the key of the list."""
    if isinstance(value, dict):
        for key, own in value.items():
            yield key, own
            yield from _pairs(own)
    elif isinstance(value, list):
        for own in value:
            yield from _pairs(own)
