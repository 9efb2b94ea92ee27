"""The command line: `python -m xllm COMMAND …`. A stage is imported only when its command runs."""

import atexit
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from xllm import __version__
from xllm.errors import XllmError, unknown

# command → where it lives, what it does. A `main` reads its own flags; any other function is served by fire.
COMMANDS = {
    "fetch": ("xllm.models.fetch:fetch", "get a base model: a known name, or a hub id"),
    "mixture": ("xllm.mixture.show:mixture", "show what a mixture comes to, and lock it"),
    "preview": ("xllm.mixture.preview:preview", "show rows as a model sees them in training"),
    "plan": ("xllm.training.plan:plan", "tell what a training run takes"),
    "train": ("xllm.training.train:main", "tune a base model on a mixture of datasets"),
    "infer": ("xllm.inference.predict:main", "let a model answer a dataset"),
    "perplexity": ("xllm.inference.perplexity:perplexity", "tell how well a model foretells a dataset's outputs"),
    "evaluate": ("xllm.evaluation.evaluate:evaluate", "score a model's answers"),
    "weight_diff": ("xllm.models.weight_diff:weight_diff", "pass a tuned model on as its difference from the base"),
    "compare": ("xllm.evaluation.comparing.compare:compare", "put the scores of several models side by side"),
    "judge": ("xllm.evaluation.judging.judge:judge", "let another model judge answers"),
    "report": (
        "xllm.evaluation.reporting.report:report",
        "collect models' scores in one table, with plots",
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, 2 for a mistake of the user, or 3 where rows failed (one line on
    stderr)."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] == "--version":
        print(__version__)
        return 0
    try:
        run(argv[0], argv[1:])
    except XllmError as error:
        print("xllm: " + " ".join(str(error).split()), file=sys.stderr)
        return error.code
    except OSError as error:  # a full disk, a folder that may not be written
        where = f": {error.filename}" if error.filename else ""
        print("xllm: " + " ".join(f"{error.strerror or error}{where}".split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def usage() -> str:
    lines = ["usage: python -m xllm COMMAND …", ""]
    lines += [f"  {command:<12}{help_line}" for command, (_, help_line) in COMMANDS.items()]
    return "\n".join([*lines, "", "python -m xllm COMMAND --help shows what a command takes."])


def run(command: str, argv: list[str]) -> None:
    if command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    module, name = COMMANDS[command][0].split(":")
    function = getattr(importlib.import_module(module), name)
    if name == "main":
        function(argv)
    else:
        serve(function, argv)


def serve(function: Callable, argv: list[str]) -> None:
    """Call `function` with what fire reads from `argv`, once every word of it is known to have a place: fire alone
    would run first and complain afterwards."""
    import fire

    if {"--help", "-h"}.intersection(argv):
        argv = ["--help"]  # with words before it, fire would run first
    else:
        words, flags = split(function, argv)
        switches = {name for name, p in inspect.signature(function).parameters.items() if p.default is False}
        # fire would read 1.10 as a number and a,b as a tuple; quoted, every value stays the text that was typed
        argv = [
            *map(repr, words),
            *(f"--{name}={value if name in switches else repr(value)}" for name, value in flags.items()),
        ]
    fire.Fire(function, command=argv, name=f"xllm {function.__name__}")


def split(function: Callable, argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """The words and the flags of a command line. Raises XllmError where `function` doesn't take them."""
    signature, help_hint = inspect.signature(function), f"see: python -m xllm {function.__name__} --help"
    known = [name for name, p in signature.parameters.items() if p.kind is not p.VAR_POSITIONAL]
    words, flags, rest = [], {}, iter(argv)
    for word in rest:
        if word.startswith("-") and word[1:] in known:  # -n 3
            word = f"-{word}"
        if not word.startswith("--"):
            words.append(word)
            continue
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if name not in known:
            raise unknown("flag", flag, [f"--{name}" for name in known], help_hint)
        if not equals:
            switch = signature.parameters[name].default is False
            value = "True" if switch else next(rest, "--")
        if value.startswith("--"):
            raise XllmError(f"{flag} needs a value; {help_hint}")
        if signature.parameters[name].default is False and value not in ("True", "False"):
            raise XllmError(f"{flag} {value}: it is a switch; {help_hint}")
        flags[name] = value
    try:
        signature.bind(*words, **flags)
    except TypeError as error:
        raise XllmError(f"{function.__name__}: {error}; {help_hint}") from None
    return words, flags


def leave(code: int) -> NoReturn:
    """End this process.

    One of several, as torchrun starts them, ends without Python's clearing up: a thread of gloo that lets go of its
    last tensor meanwhile would turn the exit of a finished run into SIGABRT (pytorch/pytorch#179291)."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    leave(main())
