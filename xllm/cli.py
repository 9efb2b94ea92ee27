"""How every command reads its flags and shows its help.

A command's flags are a dataclass, a subclass of `Flags`, whose fields are made by `word` (positional), `flag` and
`switch`. They are the command line, its help, its Tab completion and the keys of its --config file. Modules that define
them import nothing heavy, so that help is there at once.
"""

import argparse
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, field, fields
from importlib import import_module
from math import isfinite
from typing import Any, ClassVar, get_args, get_type_hints

from xllm.errors import XllmError, unknown

WIDTH = 100  # columns of help
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True)
class Command:
    """A command: what it does in one sentence, where its flags and its work are, and an example."""

    name: str
    does: str
    flags: str  # module:dataclass
    work: str  # module:function, which is called with the flags
    example: str

    def load_flags(self) -> type["Flags"]:
        found: type[Flags] = _load(self.flags)
        return found

    def run(self, argv: Sequence[str]) -> None:
        """Show help or run the command. Raises XllmError for what the command line has wrong, before any work."""
        kind = self.load_flags()
        if asked := [word for word in argv if word in ("-h", "--help", "--help_all", "--help-all")]:
            if asked[0].startswith("--help_all") and not kind.passed_on:
                raise unknown("flag", asked[0], [f"--{own.name}" for own in options(kind)], see(self.name))
            print(help_text(self, kind, everything=asked[0] in ("--help_all", "--help-all")))
            return
        flags = read(self.name, kind, argv)
        with _quiet(flags.quiet):
            _load(self.work)(flags)


def word(help: str, *, many: bool = False, choices: Sequence[str] = (), **default: Any) -> Any:
    """A positional word of a command line; `many` of them may follow one another, and then its value is a tuple."""
    return _field(default, positional=True, help=help, many=many, choices=choices)


def flag(
    help: str,
    default: Any = None,
    *,
    choices: Sequence[str] = (),
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    shown: str | None = None,
    metavar: str | None = None,
    required: bool = False,
    needs: Sequence[str] = (),
    many: bool = False,
) -> Any:
    """A flag with a value. Numbers may be bounded: at `least` and `most`, or `above` and `below`. `shown` says in words
    what the default is where it isn't a value, and `metavar` what stands for the value in help. A flag that `needs`
    others has no effect without one of them, and is refused then. One that takes `many` is one of its choices, or else
    a tuple of what follows it up to the next flag."""
    limits = {"least": least, "most": most, "above": above, "below": below}
    own = {} if required else {"default": default}
    facts = {"shown": shown, "metavar": metavar, "needs": needs, "many": many}
    return _field(own, help=help, choices=choices, limits=limits, **facts)


def switch(help: str, needs: Sequence[str] = ()) -> Any:
    """A flag that is off unless it is given, and may need others."""
    return _field({"default": False}, help=help, choices=(), needs=needs, many=False)


def _field(default: Mapping[str, Any], **facts: Any) -> Any:
    return field(metadata=facts, kw_only=not facts.get("positional"), **default)


@dataclass(frozen=True)
class Flags:
    """What all commands take, and what was typed."""

    config: str | None = flag("Read flags from a YAML file; the command line wins.", metavar="FILE")
    quiet: bool = switch("Print results and errors alone.")

    @classmethod
    def more(cls, everything: bool) -> list[tuple[str, list[tuple[str, str]]]]:
        """Further parts of the help, by title; `everything` where --help_all was asked."""
        return []

    @classmethod
    def instead_of(cls, name: str, value: str = "") -> str | None:
        """What there is in place of a flag, with its value, or of a word that others have, and this command hasn't."""
        return None

    # flags that the command hands to a library: name → "value" or "switch", or the values that a flag takes several of
    passed_on: ClassVar[dict[str, str | tuple[str, ...]]] = {}
    # what was typed, what came of it with --config, and which flags are passed on
    typed: tuple[str, ...] = field(default=(), kw_only=True, repr=False)
    settings: dict[str, Any] = field(default_factory=dict, kw_only=True, repr=False)
    others: dict[str, str] = field(default_factory=dict, kw_only=True, repr=False)


HIDDEN = ("typed", "settings", "others")


def words(kind: type[Flags]) -> list[Field[Any]]:
    """The positional words of a command line."""
    return [own for own in fields(kind) if own.metadata.get("positional")]


def options(kind: type[Flags]) -> list[Field[Any]]:
    """The flags of a command line, the command's own first."""
    common = {own.name for own in fields(Flags)}
    own = [own for own in fields(kind) if own.name not in common and not own.metadata.get("positional")]
    return own + [own for own in fields(kind) if own.name in common and own.name not in HIDDEN]


def see(command: str) -> str:
    """Where a command says what it takes."""
    return f"see: xllm {command} --help"


def read(command: str, kind: type[Flags], argv: Sequence[str]) -> Any:
    """The flags of a command line, with those of its --config file where it doesn't give them.

    Raises XllmError, naming flag and value, for whatever there isn't, is missing, or can't be.
    """
    given, others = _split(command, kind, argv)
    if (file := given.get("config")) is not None:
        typed, passed = _from_file(command, kind, file[-1])
        given, others = {**typed, **given}, {**passed, **others}
    values: dict[str, Any] = {}
    types = get_type_hints(kind)
    for own in [*words(kind), *options(kind)]:
        if own.name in given:
            values[own.name] = _values(own, types[own.name], given[own.name], kind)
        elif own.default is MISSING:
            raise XllmError(f"{command} needs {_called(own)}; {see(command)}")
    for own in options(kind):
        needs = own.metadata.get("needs") or ()
        if own.name in values and needs and not any(values.get(name) for name in needs):
            wanted = " or ".join(f"--{name}" for name in needs)
            raise XllmError(f"--{own.name} {values[own.name]} has no effect without {wanted}")
    return kind(**values, typed=tuple(argv), settings=values | others, others=others)


def _split(command: str, kind: type[Flags], argv: Iterable[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The texts that a command line gives each word and flag, and those of flags that are passed on."""
    own = {field.name: field for field in options(kind)}
    given: dict[str, list[str]] = {}
    others: dict[str, str] = {}
    rest, plain, wrong = list(argv), [], []
    while rest:
        token = rest.pop(0)
        letter = len(token) == 2 and token[0] == "-" and token[1].isalpha()  # -n 3
        if not letter and (not token.startswith("--") or token == "--"):
            plain.append(token)
            continue
        typed, equals, text = token.partition("=")
        name = typed.lstrip("-").replace("-", "_")
        takes = _takes(own[name]) if name in own else kind.passed_on.get(name)
        if takes is None:
            value = text if equals else rest.pop(0) if rest and not rest[0].startswith("--") else ""
            wrong.append(_unknown_flag(command, kind, typed, value))
            continue
        texts = [text] if equals else _following(command, typed, rest, takes)
        if name in own:
            given[name] = texts
        else:
            others[name] = _several(typed, texts, takes) if isinstance(takes, tuple) else texts[-1]
    if wrong:  # all at once: a command line of another program has many
        raise XllmError("; ".join(map(str, wrong)))
    return given | _placed(command, kind, plain), others


def _takes(own: Field[Any]) -> str | list[str]:
    """What a flag takes: "switch", "value", or all that follows but for its choices, which stand alone."""
    return "switch" if own.type is bool else list(own.metadata["choices"]) if own.metadata["many"] else "value"


def _following(command: str, typed: str, rest: list[str], takes: str | list[str] | tuple[str, ...]) -> list[str]:
    """What follows a flag as its value, or values, is taken from the `rest` of a command line."""
    if takes == "switch":
        return [rest.pop(0)] if rest and rest[0].lower() in (*TRUE, *FALSE) else ["True"]
    if not rest or rest[0].startswith("--"):
        raise XllmError(f"{typed} needs a value; {see(command)}")
    found = [rest.pop(0)]
    while isinstance(takes, tuple) and rest and rest[0] in takes:
        found.append(rest.pop(0))
    while isinstance(takes, list) and found[0] not in takes and rest and not rest[0].startswith("--"):
        found.append(rest.pop(0))
    return found


def _several(typed: str, texts: list[str], known: Sequence[str]) -> str:
    """Values of a flag, which commas may separate, as one text. Raises XllmError for one that it doesn't take."""
    found = list(dict.fromkeys(" ".join(texts).replace(",", " ").split()))
    for value in found:
        if value not in known:
            raise unknown(f"value of {typed}", value, known)
    if not found:
        raise XllmError(f"{typed} needs a value: {', '.join(known)}")
    return " ".join(found)


def _placed(command: str, kind: type[Flags], plain: list[str]) -> dict[str, list[str]]:
    """The words of a command line by the place that they take."""
    given, left = {}, list(plain)
    for place in words(kind):
        taken = len(left) if place.metadata["many"] else 1
        if left[:taken]:
            given[place.name] = left[:taken]
        del left[:taken]
    if left:
        raise XllmError(f"cannot place {left[0]!r} on the command line; {kind.instead_of(left[0]) or see(command)}")
    return given


def _unknown_flag(command: str, kind: type[Flags], typed: str, value: str) -> XllmError:
    if instead := kind.instead_of(typed.removeprefix("--").replace("-", "_"), value):
        return XllmError(f"{typed}: {instead}")
    known = [f"--{own.name}" for own in options(kind)] + [f"--{name}" for name in kind.passed_on]
    return unknown("flag", typed, known, see(command))


def _from_file(command: str, kind: type[Flags], path: str) -> tuple[dict[str, list[str]], dict[str, str]]:
    """What a YAML file gives, as `_split`. Every value is the text that the file has, so that `no` is a language and
    1e-5 a number; words go by their names."""
    import yaml

    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123  importing pathlib would make help slower
            found = yaml.load(file, Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise XllmError(f"--config {path}: {getattr(error, 'strerror', None) or error}") from None
    except yaml.YAMLError as error:
        raise XllmError(f"--config {path}: it is not valid YAML: {error}") from None
    if not isinstance(found, dict):
        raise XllmError(f"--config {path}: it must hold flags and their values, a line each, as seed: 42")
    if "config" in found:
        raise XllmError(f"--config {path}: it can't name another file")
    places = {own.name for own in words(kind)}
    texts = {name: _texts(path, name, value, _is_many(kind, name)) for name, value in found.items()}
    line = [text for name, own in texts.items() if name not in places for text in _typed(kind, name, own)]
    given, others = _split(command, kind, line)
    return {**given, **{name: own for name, own in texts.items() if own and name in places}}, others


def _is_many(kind: type[Flags], name: object) -> bool:
    """Whether a word or a flag may have several values."""
    own = next((own for own in [*words(kind), *options(kind)] if own.name == name), None)
    return bool(own.metadata.get("many")) if own else isinstance(kind.passed_on.get(str(name)), tuple)


def _typed(kind: type[Flags], name: str, texts: list[str]) -> list[str]:
    """A flag of a file as one would type it."""
    if texts and isinstance(kind.passed_on.get(name), tuple):
        return [f"--{name}={','.join(texts)}"]
    return [f"--{name}", *texts] if len(texts) > 1 else [f"--{name}={text}" for text in texts]


def _texts(path: str, name: object, value: object, many: bool) -> list[str]:
    """The texts that a file gives a flag or a word, of which it may have `many`."""
    texts = [text for text in (value if isinstance(value, list) and many else [value]) if isinstance(text, str)]
    if not isinstance(name, str) or len(texts) < (len(value) if isinstance(value, list) and many else 1):
        raise XllmError(f"--config {path}: {name} must be {'text or a list of texts' if many else 'text or a number'}")
    return [text for text in texts if text not in ("", "null", "~")]


def _values(own: Field[Any], hint: Any, texts: list[str], command: type[Flags]) -> Any:
    """What a word or a flag is, by the texts that it was given."""
    if own.metadata.get("positional"):
        values = [_value(own, hint, text, command) for text in texts]
        return tuple(values) if own.metadata["many"] else values[-1]
    return tuple(texts) if len(texts) > 1 else _value(own, hint, texts[0], command)


def _value(own: Field[Any], hint: Any, text: str, command: type[Flags]) -> Any:
    """The value that a text gives a word or a flag. Raises XllmError that says what it must be."""
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    kind, facts, called = kinds[0], own.metadata, _called(own)
    if facts["choices"]:
        if text not in facts["choices"]:
            if instead := command.instead_of(text):
                raise XllmError(f"{called} {text}: {instead}")
            hint = "or several that aren't among these" if facts["many"] else ""
            raise unknown(f"value of {called}", text, facts["choices"], hint)
        return text
    if kind is bool:
        if text.lower() not in (*TRUE, *FALSE):
            raise XllmError(f"{called} {text}: it is a switch; give it alone, or True or False")
        return text.lower() in TRUE
    if kind not in (int, float):
        return text
    try:
        value = kind(text)
        sound = text.isascii() and "_" not in text and within(value, facts["limits"])
    except (ValueError, OverflowError):
        sound = False
    if not sound:
        raise XllmError(f"{called} {text}: it must be {allowed(kind, facts['limits'])}")
    return value


def within(value: float, limits: Mapping[str, float | None]) -> bool:
    """Whether a number is finite and keeps to its limits, as `flag` has them."""
    least, most, above, below = (limits.get(bound) for bound in ("least", "most", "above", "below"))
    return (
        isfinite(value)
        and (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
    )


def allowed(kind: type, limits: Mapping[str, float | None]) -> str:
    """What a number may be, in words."""
    text = "a whole number" if kind is int else "a number"
    wordings = {
        "above": " above {:.15g}",
        "least": ", {:.15g} or more",
        "most": ", {:.15g} at most",
        "below": ", below {:.15g}",
    }
    return text + "".join(way.format(limits[bound]) for bound, way in wordings.items() if limits.get(bound) is not None)


def _called(own: Field[Any]) -> str:
    """What a word or a flag is called on the command line."""
    return own.name.upper() if own.metadata.get("positional") else f"--{own.name}"


def help_text(command: Command, kind: type[Flags], everything: bool = False) -> str:
    """The help of a command: usage, what it does, its words and flags with their defaults, an example."""
    needed = [_shape(own) for own in options(kind) if own.default is MISSING]
    usage = " ".join(["usage: xllm", command.name, *map(_in_usage, words(kind)), *needed, "[flags]"])
    lines = [usage, "", command.does[0].upper() + command.does[1:] + "."]
    if words(kind):
        lines += ["", *_entries((_called(own), _told(own)) for own in words(kind))]
    common = {own.name for own in fields(Flags)}
    own_flags = [own for own in options(kind) if own.name not in common]
    lines += ["", "flags:", *_entries((_shape(own), _told(own)) for own in own_flags)] if own_flags else []
    for title, entries in kind.more(everything):
        lines += ["", f"{title}:", *_entries(entries)]
    shared = [(_shape(own), _told(own)) for own in options(kind) if own.name in common]
    lines += ["", "flags of every command:", *_entries([*shared, ("--help", "Show this.")])]
    return "\n".join([*lines, "", "example:", f"  {command.example}"])


def _in_usage(own: Field[Any]) -> str:
    called = _called(own) + (" …" if own.metadata["many"] else "")
    return called if own.default is MISSING else f"[{called}]"


def _shape(own: Field[Any]) -> str:
    if own.type is bool:
        return f"--{own.name}"
    dashes = "-" if len(own.name) == 1 else "--"
    usual = "N" if "int" in str(own.type) else "X" if "float" in str(own.type) else own.name.rpartition("_")[2].upper()
    return f"{dashes}{own.name} {own.metadata['metavar'] or usual}"


def _told(own: Field[Any]) -> str:
    """A flag's sentence, its allowed values, and its default."""
    facts, parts = own.metadata, [own.metadata["help"]]
    if facts["choices"]:
        parts.append(f"One of {', '.join(facts['choices'])}.")
    elif facts.get("limits") and any(value is not None for value in facts["limits"].values()):
        kind = int if "int" in str(own.type) else float
        parts.append(allowed(kind, facts["limits"]).capitalize() + ".")
    if facts.get("shown"):
        parts.append(f"Default: {facts['shown']}.")
    elif own.type is bool:
        parts.append("Off by default.")
    elif own.default not in (None, MISSING, ()):
        parts.append(f"Default: {own.default}.")
    return " ".join(parts)


def _entries(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    for called, told in entries:
        start, indent = f"  {called:<26}", " " * 28
        if len(called) > 25:
            yield start
            start = indent
        yield from textwrap.wrap(
            told, WIDTH, initial_indent=start, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )


def parser_of(commands: Iterable[Command]) -> argparse.ArgumentParser:
    """All commands as argparse knows them, for Tab completion."""
    parser = argparse.ArgumentParser("xllm", allow_abbrev=False)
    parser.add_argument("--version", action="store_true", help="show the version")
    below = parser.add_subparsers()
    for command in commands:
        own, kind = below.add_parser(command.name, help=command.does, allow_abbrev=False), command.load_flags()
        for place in words(kind):
            own.add_argument(place.name, nargs="*", choices=place.metadata["choices"] or None)
        for option in options(kind):
            how: dict[str, Any] = {"action": "store_true"} if option.type is bool else {}
            if option.metadata["choices"]:
                how["choices"] = option.metadata["choices"]
            own.add_argument(f"--{option.name}", help=option.metadata["help"].replace("%", "%%"), **how)
        for name in kind.passed_on:
            own.add_argument(f"--{name}")
    return parser


@contextmanager
def _quiet(quiet: bool) -> Iterator[None]:
    """With `quiet`, what is said on stderr, progress bars included, goes nowhere; the caller tells errors."""
    if not quiet:
        yield
        return
    before = sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
        sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stderr = before


def done(*written: object, then: str = "") -> None:
    """End a command: tell which files it wrote and what one would type next, on stderr, which --quiet silences."""
    for path in written:
        print(f"wrote {path}", file=sys.stderr)
    if then:
        print(f"next: {then}", file=sys.stderr)


def _load(place: str) -> Any:
    module, name = place.split(":")
    return getattr(import_module(module), name)
