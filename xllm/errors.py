"""The one exception that a user sees: a single line and exit code 2, never a traceback."""

import difflib
from collections.abc import Iterable


class XllmError(Exception):
    """A mistake that the user can mend. Its text says what is wrong, the value, and what would be right."""

    code = 2  # with which the process exits


class RowsFailed(XllmError):
    """All is done but for some rows, which have been written down."""

    code = 3


def unknown(kind: str, value: str, known: Iterable[str], hint: str = "") -> XllmError:
    """The error for a name that isn't one of `known`: its nearest neighbours, or all when there are few."""
    known = sorted(set(known))
    near = difflib.get_close_matches(value, known, n=3, cutoff=0.5)
    if near:
        choices = "did you mean " + " or ".join(near) + "?"
    elif known:
        choices = "available: " + ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    else:
        choices = "none is available"
    return XllmError(f"unknown {kind} {value!r}; {choices}" + (f" ({hint})" if hint else ""))
