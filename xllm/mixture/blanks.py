"""Rows whose target leaves nothing to see.

An empty output teaches a model to end at once, as the reference has it: it is trained on, its target being eos alone.
One of invisible characters would teach the model to write these; such a row is dropped. Either is counted.
"""

from typing import TYPE_CHECKING

from xllm import languages

if TYPE_CHECKING:
    from xllm.mixture.mixture import Mixture

EMPTY, INVISIBLE = "empty", "invisible"
KINDS = (EMPTY, INVISIBLE)


def kind(target: str) -> str | None:
    """Which of KINDS a target is, if any."""
    if not target:
        return EMPTY
    return INVISIBLE if languages.blank(target) else None


def count(mixture: "Mixture") -> list[dict[str, int]]:
    """How many rows of each dataset have an output of each of KINDS."""
    counts = {term.name: dict.fromkeys(KINDS, 0) for term in mixture.terms}
    for name, rows in mixture.parts:
        for batch in rows.select_columns(["output"]).iter(1000):
            for found in filter(None, map(kind, batch["output"])):
                counts[name][found] += 1
    return [counts[term.name] for term in mixture.terms]
