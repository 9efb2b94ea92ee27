"""Names of files and folders made of a mixture's text, without characters that globs, YAML, shells and `datasets` take
for their own:

    xquad_tr[:6] → xquad_tr.first6          xquad_tr[-100:] → xquad_tr.last100
    xquad_tr[10:] → xquad_tr.from10         xquad_tr[:-5] → xquad_tr.butlast5
    xquad_tr[10:20] → xquad_tr.rows10to20   xquad_tr[5%:10%] → xquad_tr.rows5pctto10pct
    xquad_tr*2 → xquad_tr.x2                xquad_tr[:10%]*0.25 → xquad_tr.first10pct.x0.25

`+` stays. Any other such character is written as `=` and its code in hex, and so are `=` itself and a dot that would
look like one of the above, so that no two mixtures have the same name. Earlier versions wrote the mixture's text as it
is; what lies under such a name is still found.
"""

import re
from collections.abc import Iterable
from pathlib import Path

SLICE = re.compile(r"\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\]", re.ASCII)
FACTOR = re.compile(r"\*(?P<factor>\d+(\.\d+)?)", re.ASCII)
ODD = re.compile(r"[^\w.+=@\u0080-\U0010ffff-]", re.ASCII)
LIKE_OURS = re.compile(r"=|\.(?=(first|last|butlast|from|x)\d|rows-?\d)")


def of_mixture(text: str) -> str:
    """The name of a mixture; of text that is no mixture, some name."""
    return clean(LIKE_OURS.sub(_hex, text))


def clean(name: str) -> str:
    """A name that earlier versions gave, as it is given now; a name that is given now stays."""
    return ODD.sub(_hex, FACTOR.sub(r".x\g<factor>", SLICE.sub(_slice, name)))


def _hex(found: re.Match[str]) -> str:
    return f"={ord(found[0]):02X}"


def _slice(found: re.Match[str]) -> str:
    start, stop = (bound and bound.replace("%", "pct") for bound in found.group("start", "stop"))
    if start and stop:
        return f".rows{start}to{stop}"
    if start:
        return f".last{start[1:]}" if start.startswith("-") else f".from{start}"
    if stop:
        return f".butlast{stop[1:]}" if stop.startswith("-") else f".first{stop}"
    return ""


def existing(path: Path) -> Path:
    """Where a file or folder is that may have been typed, or written, under its earlier name; `path` if nowhere."""
    try:
        if path.exists() or not path.parent.is_dir():
            return path
    except OSError:  # a name that the file system doesn't take
        return path
    name = clean(path.name)
    alike = [other for other in sorted(path.parent.iterdir()) if clean(other.name) == name]
    return next((other for other in alike if other.name == name), alike[0] if alike else path)


def listed(folder: Path, ending: str) -> dict[str, Path]:
    """The files of a folder with an ending, by their names without it, as these are given now."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(f"*{ending}")):
        name = clean(path.name.removesuffix(ending))
        if name not in found or path.name == f"{name}{ending}":
            found[name] = path
    return dict(sorted(found.items()))


def chosen(typed: str, there: Iterable[str]) -> str | None:
    """Which of the names that `listed` gives is meant by a mixture's text, or by the name itself."""
    return next((name for name in (of_mixture(typed), clean(typed)) if name in there), None)
