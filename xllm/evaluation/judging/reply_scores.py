"""The scores of two answers, as `prompts.JUDGE_PAIR` asks for them: Score of answer 1: N, and the same of answer 2.

Judges also write them on one line, in tables and JSON, under headings in the language of the question, and in the
digits of its script; these are read where there is no doubt. Ranges, other scales, and numbers out of 1 to 10 aren't.
"""

from collections.abc import Iterator
from typing import Any

import regex

from xllm.evaluation.judging.replies import NOTHING, TWO, Unread, json_in

LEAST, MOST, BEYOND = 1, 10, "not from 1 to 10"
CHINESE = dict(zip("一二三四五六七八九十", range(1, 11), strict=True))
OF = r"/|out\s+of|of|von|de|sur|su|din|z|ze|van|av|из|από|στα|trên|من|จาก"
UNITS = r"points?|pts?|punkte?n?|puntos?|pontos?|punti|puncte|puan|balles?|балл\w*|βαθμ\w+|điểm|درج\w+|نقاط|نقطة|अंक"
UNITS += r"|คะแนน|分|点|점"
SPACE = r"[^\S\n]*"
VALUE = r"(?<!\d)(\d++(?:\.\d++|,\d{1,2}+)?+(?![\d%])|[一二三四五六七八九十](?=\s*(?:分|/|[,;。]|\n|\Z)))"
UNIT = rf"(?:{SPACE}(?:{UNITS})(?!\w))?"
NUMBER = rf"{VALUE}{UNIT}({SPACE}(?:{OF}){SPACE}10(?:\.0+)?(?![.,]?\d))?{UNIT}"
OPEN, CLOSE = r"[\s\"'(\[“「]*", r"[\"')\]}”」]*"
GIVEN = regex.compile(rf"{OPEN}{NUMBER}{CLOSE}", regex.IGNORECASE)
CELL = regex.compile(rf"{OPEN}{NUMBER}{CLOSE}\s*", regex.IGNORECASE)
INDEX = r"(?:(?<![\d.,/])([12])(?![\d./]|,\d)|(?<=回答|答案|助手|第)\s*([一二]))"
ASKED = regex.compile(
    rf"score\s+of\s+answer[\s\[(#\"']*{INDEX}[\])\"']*(?:\s*[:=]\s*|\s+is\s+|\s*->\s*|\s+-\s+|\s*→\s*|\s*\n\s*)",
    regex.IGNORECASE,
)
LABEL = regex.compile(rf"[^\d:=\n,;|。]{{0,60}}?{INDEX}[^\d:=\n,;|。]{{0,40}}(?:[:=]\s*|->\s*|→\s*|\s-\s+)")
BOTH = regex.compile(
    rf"^(?:[^\d\n]{{0,40}}[:=])?{OPEN}{NUMBER}(?:\s*[,;|&]\s*|\s+(?:and|und|et|y|и|vs\.?)\s+|\s+){NUMBER}[\s\])|.]*$",
    regex.IGNORECASE | regex.MULTILINE,
)
INDEXED = regex.compile(rf"\D*?{INDEX}\D*")
OR = regex.compile(r"\n\s*(?:or|oder|ou|o|或)\b[^\n]*")
SINGLE = regex.compile(r"[^\W\d_].*[12]|[12].*[^\W\d_]")  # a table's heading: letters, and which answer it is

Found = list[tuple[int, float]]  # which answer, its score


def scores(text: str) -> list[float]:
    """The scores of answers 1 and 2 in a plain text. Raises Unread where it lacks one, has two that differ, or one that
    isn't from 1 to 10."""
    asked = [own for own in ASKED.finditer(text) if own.end() < len(text)]
    found = [own for match in asked for own in _given(text, match, strict=True)]
    found += [own for value in json_in(text) for own in _scores_in(value)]
    if found:  # what is said before them is evidence; what is said after them may take them back
        found += _elsewhere(text[asked[-1].end() :] if asked else "")
    else:
        found = _elsewhere(text)
    values: dict[int, float] = {}
    for answer, value in found:
        if values.setdefault(answer, value) != value:
            raise Unread(TWO)
    if set(values) != {1, 2}:
        raise Unread(NOTHING)
    if not all(LEAST <= value <= MOST for value in values.values()):
        raise Unread(BEYOND)
    return [values[1], values[2]]


def _elsewhere(text: str) -> Found:
    """Scores in forms that weren't asked for."""
    found = [own for match in LABEL.finditer(text) for own in _given(text, match, strict=False)] + _in_table(text)
    return found or [(answer, _value(own[group])) for own in BOTH.finditer(text) for answer, group in ((1, 1), (2, 3))]


def _given(text: str, label: regex.Match[str], strict: bool) -> Found:
    """The score that a label gives an answer; none where no number follows it. One that is only the beginning of
    something else is none either, and with `strict` raises Unread: 7-8, 8/1, 8 out of, 8/10 or 7/10."""
    answer, number = _answer(label), GIVEN.match(text, label.end())
    if number is None:
        if strict and text[label.end() :].lstrip()[:1] in ("-", "+", "~"):
            raise Unread(BEYOND)
        return []
    rest = regex.match(r"[^\n]*", text, pos=number.end())[0]
    more = OR.match(text, number.end() + len(rest))
    if following := LABEL.search(rest):
        rest = rest[: following.start()]
    rest += more[0] if more else ""
    clear = number[2] or regex.match(r"\s*(?:[.;,)(|}!]|-\s*[^\s\d]|\Z)", rest)
    last = number.end() + len(rest.rstrip()) == len(text.rstrip()) and rest.strip() in (",", "-", "/")
    if clear and not last and not regex.search(r"\d", rest):
        return [(answer, _value(number[1]))]
    if strict:
        raise Unread(NOTHING)
    return []


def _answer(found: regex.Match[str]) -> int:
    return int(found[1]) if found[1] else CHINESE[found[2]]


def _value(text: str) -> float:
    return float(CHINESE[text]) if text in CHINESE else float(text.replace(",", "."))


def _in_table(text: str) -> Found:
    """The scores in a Markdown table: a row for each answer, or a column."""
    found: Found = []
    columns: dict[int, int] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) < 2:
            continue
        numbers = {place: own for place, cell in enumerate(cells) if (own := CELL.fullmatch(cell))}
        heads = {_answer(own): place for place, cell in enumerate(cells) if (own := INDEXED.fullmatch(cell))}
        if len(heads) == 2 and all(SINGLE.search(cells[place]) for place in heads.values()):
            columns = heads
        elif columns and all(place in numbers for place in columns.values()):
            found += [(answer, _value(numbers[place][1])) for answer, place in columns.items()]
        elif (own := INDEXED.fullmatch(cells[0])) and len(numbers.keys() - {0}) == 1:
            [place] = numbers.keys() - {0}
            found.append((_answer(own), _value(numbers[place][1])))
    return found


def _scores_in(value: Any) -> Iterator[tuple[int, float]]:
    if isinstance(value, list) and len(numbers := [own for item in value if (own := _number(item)) is not None]) == 2:
        if len(value) == 2:
            yield from zip((1, 2), numbers, strict=True)
        return
    if isinstance(value, dict):
        named = {key.lower(): own for key, own in value.items()}
        which = next((named[key] for key in ("answer", "assistant", "index", "id") if key in named), None)
        if (own := INDEXED.fullmatch(str(which))) and (score := _number(named.get("score"))) is not None:
            yield _answer(own), score
            return
        for key, item in named.items():
            own = INDEXED.fullmatch(key)
            score = _number(item.get("score") if isinstance(item, dict) else item)
            if own and score is not None:
                yield _answer(own), score
            else:
                yield from _scores_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _scores_in(item)


def _number(value: Any) -> float | None:
    if isinstance(value, str) and (own := CELL.fullmatch(value)):
        return _value(own[1])
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
