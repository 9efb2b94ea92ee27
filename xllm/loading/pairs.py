"""Which two languages a config names: <set>_<source>-<target>, where a language may have a script and a region, and
both signs may stand inside it: flores_eng_Latn-zho_Hans, ted_zh-Hant-HK-en, news_pt_BR-en.

A language is written as in BCP 47 or FLORES: two or three letters, then, where they are there, three letters of an
extended language (zh-yue), four of a script (ISO 15924), two letters or three digits of a region (ISO 3166, UN M.49),
and variants.
"""

import re
from itertools import product

from xllm import languages
from xllm.errors import XllmError

CODE = re.compile(
    r"(?P<language>[a-z]{2,3})(?:[-_](?P<extended>[a-z]{3}))?(?:[-_](?P<script>[a-z]{4}))?"
    r"(?:[-_](?P<region>[a-z]{2}|\d{3}))?(?:[-_](?:[a-z\d]{5,8}|\d[a-z\d]{3}))*",
    re.IGNORECASE | re.ASCII,
)
EXTENDED = ("ar", "kok", "lv", "ms", "sgn", "sw", "uz", "zh")  # languages that have extended ones, by IANA's registry

Reading = tuple[str, str, str]  # set, source, target


def read(config: str) -> Reading | None:
    """The set, the source and the target that a config names; None where it names none.

    Of several readings, those of known subtags count, then those as people write them: zh-Hant-HK, pt_BR. Raises
    XllmError, naming them, where several are left.
    """
    found = _readings(config)
    for holds in (_known, _usual):
        found = [reading for reading in found if all(map(holds, reading[1:]))] or found
    if len(found) > 1:
        told = " or ".join(f"{source} to {target} of {name}" for name, source, target in found)
        raise XllmError(f"{config!r} can be read as {told}; write regions in upper case, as pt-BR, languages in lower")
    return found[0] if found else None


def _readings(config: str) -> list[Reading]:
    places = [[match.start() for match in re.finditer(sign, config)] for sign in "_-"]
    return [
        (config[:start], config[start + 1 : middle], config[middle + 1 :])
        for start, middle in product(*places)
        if 0 < start < middle and _is_code(config[start + 1 : middle]) and _is_code(config[middle + 1 :])
    ]


def _is_code(text: str) -> bool:
    match = CODE.fullmatch(text)
    return match is not None and (not match["extended"] or match["language"].lower() in EXTENDED)


def _known(code: str) -> bool:
    match = CODE.fullmatch(code)
    assert match is not None
    return languages.are_known(match["extended"] or match["language"], match["script"], match["region"])


def _usual(code: str) -> bool:
    """Whether a code is written as people do: the language in lower case, a script capitalised, a region in upper."""
    match = CODE.fullmatch(code)
    assert match is not None
    language, extended, script, region = (match[name] or "" for name in ("language", "extended", "script", "region"))
    return (language, extended, script, region) == (
        language.lower(),
        extended.lower(),
        script.title(),
        region.upper(),
    )
