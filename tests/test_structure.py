"""The house keeps its plan: which room may import which, and no import goes round in a circle."""

import ast
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import HOME

ROOT = "root files"
LOW = {ROOT, "artifacts", "models", "loading"}
MAY_IMPORT = {
    ROOT: {ROOT},
    "packing": {ROOT},
    "artifacts": {ROOT},
    "models": LOW,
    "loading": LOW,
    "mixture": LOW,
    "evaluation": LOW | {"mixture"},
    "inference": LOW | {"mixture", "evaluation", "packing"},
    "training": LOW | {"mixture", "evaluation", "packing", "inference"},
    "chat": LOW | {"mixture", "evaluation", "packing", "inference"},
    "experiment": {ROOT},
}
MODULES = {path.relative_to(HOME).with_suffix(""): path for path in sorted((HOME / "xllm").rglob("*.py"))}
NAMES = {".".join(path.parts).removesuffix(".__init__"): path for path in MODULES}


def room_of(module: Path) -> str:
    return module.parts[1] if len(module.parts) > 2 else ROOT


def imported(nodes) -> set[str]:
    """The names of this package's modules that some statements import."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in NAMES else node.module for name in full}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(NAMES)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_rooms_import_only_what_is_above_them(module):
    room = room_of(module)
    assert room in MAY_IMPORT, f"{room} has no row in the table of who may import whom"
    rooms = {room_of(NAMES[name]) for name in imported(ast.walk(ast.parse(MODULES[module].read_text())))}
    commands = ROOT if module.name == "__main__" else None  # the table of commands imports each as it is called
    assert rooms - {room} <= MAY_IMPORT[room] or commands


def test_no_import_goes_round_in_a_circle():
    """Those at the top of a file, at which Python would fail one day, as well as those that are put off."""
    graph = {
        name: imported(ast.walk(ast.parse(MODULES[path].read_text()))) - {name, *_packages(name)}
        for name, path in NAMES.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def _packages(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts))}


@pytest.mark.parametrize("path", sorted((HOME / "script").iterdir()), ids=lambda path: path.name)
def test_scripts_are_short_and_parse(path):
    assert len(path.read_text().splitlines()) < 50
    subprocess.run(["bash", "-n", path], check=True)
