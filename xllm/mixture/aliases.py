"""From a term's name to a dataset and its config, or to the mixture that it is an alias of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xllm import places
from xllm.errors import XllmError, unknown
from xllm.files import read_json
from xllm.mixture.grammar import Term, parse


@dataclass(frozen=True)
class Part:
    """A term whose name is known: a dataset and its config, or an alias and its parts."""

    term: Term
    dataset: str = ""
    config: str = ""
    parts: tuple["Part", ...] = ()


def load_aliases(root: Path) -> dict[str, str]:
    """Short names for mixtures, from alias/alias.json of this package and, winning over that, of the data root; a
    dataset of the data root wins over this package's, too."""
    own = places.own_data()
    scripts = [path.stem for path in root.glob("*/*.py") if path.stem == path.parent.name] if root != own else []
    found = {
        name: text
        for name, text in _read(own).items()
        if not any(name.startswith(f"{dataset}_") for dataset in scripts)
    }
    return found | _read(root)


def _read(root: Path) -> dict[str, str]:
    path = root / "alias" / "alias.json"
    aliases = read_json(path) if path.exists() else {}
    if not isinstance(aliases, dict) or not all(isinstance(text, str) for text in aliases.values()):
        raise XllmError(f"{path} must hold one JSON object, alias names to mixtures")
    return aliases


def used(mixture: str, aliases: dict[str, str]) -> dict[str, str]:
    """The aliases that a mixture is made of, those in other aliases too, and what each stands for."""
    found: dict[str, str] = {}
    for term in parse(mixture):
        alias = term.name if term.name in aliases else term.name.removeprefix("alias_")
        if alias in aliases and alias not in found:
            found |= {alias: aliases[alias]} | used(aliases[alias], aliases)
    return found


def leaves(part: Part) -> Iterator[Part]:
    """The datasets of a part, those of aliases in it, too."""
    if not part.parts:
        yield part
    for inner in part.parts:
        yield from leaves(inner)


def resolve(term: Term, known: dict[str, Path], aliases: dict[str, str], path: tuple[str, ...] = ()) -> Part:
    """Find out what a term names: `alias_NAME` or NAME for an alias, else the longest dataset name that fits."""
    alias = term.name if term.name in aliases else term.name.removeprefix("alias_")
    if alias in aliases:
        if alias in path:
            raise XllmError("aliases form a cycle: " + " → ".join([*path[path.index(alias) :], alias]))
        try:
            terms = parse(aliases[alias])
        except XllmError as error:
            raise XllmError(f"the alias {alias}: {error}") from error
        inner = [resolve(part, known, aliases, (*path, alias)) for part in terms]
        return Part(term, parts=tuple(inner))
    if term.name.startswith("alias_"):
        raise unknown("alias", alias, aliases, "aliases stand in alias/alias.json of the data root")
    fitting = [name for name in known if term.name.startswith(name + "_") and len(term.name) > len(name) + 1]
    if not fitting:
        if term.name.rstrip("_") in known:
            raise XllmError(f"{term.name!r} names no config: write {term.name.rstrip('_')}_CONFIG, as alpaca_en")
        raise unknown("dataset", term.name.partition("_")[0], [*known, *aliases], f"in {term.name!r}")
    dataset = max(fitting, key=len)
    return Part(term, dataset, term.name[len(dataset) + 1 :])
