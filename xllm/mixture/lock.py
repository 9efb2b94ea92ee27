"""Lockfiles: a mixture's resolution written down, so that another run can be held to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xllm.errors import XllmError
from xllm.files import read_json, write_json
from xllm.mixture.mixture import Mixture


def write_lock(mixture: Mixture, path: str) -> None:
    """Write what determines a mixture: its text, what draws its rows, and the sha256 of every file it came from."""
    write_json(Path(path), mixture.facts())


def check_lock(mixture: Mixture, path: str) -> None:
    """Raise XllmError that names whatever differs between a mixture and the lockfile at `path`."""
    if not Path(path).is_file():
        raise XllmError(f"there is not a lockfile {path}; to write one: xllm mixture MIXTURE --lock {path}")
    locked = read_json(path)
    if not isinstance(locked, dict) or not isinstance(locked.get("terms"), list):
        raise XllmError(f"{path} is not a lockfile; to write one: xllm mixture MIXTURE --lock {path}")
    differences = list(_differences(_flat(locked), _flat(mixture.facts())))
    if differences:
        raise XllmError(f"the mixture isn't that of {path}: " + "; ".join(differences))


def _flat(facts: dict[str, Any]) -> dict[str, object]:
    """Every fact under a name that a person can look up."""
    flat = {name: value for name, value in facts.items() if name not in ("terms", "tests")}
    for term in [*facts["terms"], *facts.get("tests", [])]:
        flat |= {f"{name} of {term['from']}": value for name, value in term.items() if name != "sha256"}
        flat |= {f"sha256 of {path}": digest[:12] for path, digest in term["sha256"].items()}
    return flat


def _differences(locked: dict[str, object], found: dict[str, object]) -> Iterator[str]:
    for name in {**locked, **found}:
        if locked.get(name) != found.get(name):
            yield f"{name} is {found.get(name)!r}, locked {locked.get(name)!r}"
