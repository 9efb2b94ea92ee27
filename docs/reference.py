"""Write the generated pages: python docs/reference.py makes commands.md and architecture.md from the code."""

import ast
from pathlib import Path

from xllm.__main__ import COMMANDS
from xllm.cli import help_text

DOCS = Path(__file__).resolve().parent
PACKAGE = DOCS.parent / "xllm"

COMMANDS_HEAD = """\
# Commands

Every command takes `--config FILE`, a YAML file of its flags; the command line wins, and `run.json` has what came of
both. Words of the command line stand in the file under their names in lower case:

```yaml
base: smollm2-135m
mixture: alpaca_en+alpaca_zh
learning_rate: 1e-5
save_steps: 100
```

`--quiet` leaves results and errors alone. Results go to stdout, commentary and progress to stderr. Exit codes: 0 done,
2 a mistake (one line says what is wrong), 3 done except for some rows, 130 interrupted. A flag that has no effect is
refused. Tab completion: `eval "$(xllm completion bash)"`, likewise for zsh; `xllm completion fish | source`.
`python -m xllm` is the same as `xllm`.
"""

ARCHITECTURE_HEAD = """\
# Architecture

A researcher mixes data, tunes a model, lets it answer, scores the answers, and asks why. The code has a folder for
each, in that order; what passes from one to the next is a file that a person can open
([File formats](file-formats.md)).

## Who may import whom

From top to bottom, never up, and never in a circle; `tests/test_structure.py` holds it.

| room | may import |
|---|---|
"""


def commands() -> str:
    """commands.md: the help of every command."""
    parts = [COMMANDS_HEAD]
    for command in COMMANDS.values():
        text = help_text(command, command.load_flags(), everything=True)
        parts.append(f"## {command.name}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def architecture(may_import: dict[str, set[str]]) -> str:
    """architecture.md: the table of rooms, and every module by its path."""
    order = list(may_import)
    rows = [
        f"| {room} | {', '.join(sorted(those - {room}, key=order.index)) or 'nothing'} |"
        for room, those in may_import.items()
    ]
    lines = ["\n", "## Every module\n", "| module | what it does |", "|---|---|"]
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda path: (path.parent != PACKAGE, path.parts)):
        told = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
        if path.parent != PACKAGE or path.name != "__init__.py":
            name = path.relative_to(PACKAGE.parent).as_posix()
            name = name.removesuffix("__init__.py")  # a room goes by its folder
            told = " ".join(told.split()).replace("<", "&lt;")
            lines.append(f"| `{name}` | {told} |")
    return ARCHITECTURE_HEAD + "\n".join([*rows, *lines]) + "\n"


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(DOCS.parent))
    from tests.test_structure import MAY_IMPORT

    (DOCS / "commands.md").write_text(commands(), encoding="utf-8")
    (DOCS / "architecture.md").write_text(architecture(MAY_IMPORT), encoding="utf-8")
