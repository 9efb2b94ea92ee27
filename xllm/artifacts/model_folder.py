"""A model's folder: from its name to where it is, and what its run.json says of it."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xllm import places
from xllm.artifacts import file_names
from xllm.errors import XllmError, unknown
from xllm.files import read_json

UNFINISHED = "unfinished.json"  # in the folder of a model that training has begun
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find(name: str) -> str:
    """What `from_pretrained` takes for a model's name: a folder under model/, else a path, else a hub id."""
    for folder in candidates(name):
        if is_folder(folder):
            check_finished(folder)
            if not (folder / "config.json").is_file():
                raise XllmError(f"{folder} is not a model folder: it has no config.json")
            return str(folder)
    if HUB_ID.fullmatch(name) and not name.startswith(("model/", ".")):
        return name
    home = places.models()
    here = [folder.name for folder in home.iterdir() if folder.is_dir()] if home.is_dir() else []
    raise unknown("model", name, here, f"looked in {home}; to get one: xllm fetch NAME")


def is_finished(folder: Path) -> bool:
    """Whether no training run is at work in a folder, or was when it was killed."""
    return not (folder / UNFINISHED).exists()


def check_finished(folder: Path) -> None:
    """Raise XllmError where a folder is that of a training run that hasn't come to its end."""
    if not is_finished(folder):
        raise XllmError(
            f"{folder} is an unfinished training run; to finish it, run the same command again; to discard it: "
            f"rm -r {shlex.quote(str(folder))}"
        )


def candidates(name: str) -> list[Path]:
    """Where the folder of a model's name or path may be: under model/, else at the path. An earlier version's name of
    it does, too."""
    return [
        file_names.existing(path) for path in ([] if name.startswith(".") else [places.models() / name]) + [Path(name)]
    ]


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; a name that the file system doesn't take is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def folder_of(name: str) -> Path:
    """Where what belongs to a model is kept, its answers for one: its own folder, or for a hub id, and for the folder
    that the hub's cache has of it, one in model/."""
    source = find(name)
    if not is_folder(Path(source)):
        return places.models() / source.replace("/", "--")
    cached = snapshot(source)
    return places.models() / cached[0].replace("/", "--") if cached else Path(source)


def snapshot(source: str) -> tuple[str, str] | None:
    """The hub id and the commit of a folder of the hub's cache, models--ORG--NAME/snapshots/COMMIT; None for others.

    The hub allows no `--` in the names themselves."""
    folder = Path(source).resolve()
    kind, *parts = folder.parent.parent.name.split("--")
    if folder.parent.name != "snapshots" or kind != "models" or not parts:
        return None
    return "/".join(parts), folder.name


def short_name(name: str) -> str:
    """The last part of a model's folder, as it is called behind all links, or of its hub id; it names what is made from
    the model, so that it is the same however the model was typed."""
    folder = next((folder for folder in candidates(name) if is_folder(folder)), None)
    if folder is None:
        return name.rstrip("/").split("/")[-1]
    cached = snapshot(str(folder))
    return cached[0].split("/")[-1] if cached else folder.resolve().name


def names_apart(names: Sequence[str]) -> list[str]:
    """The short names of models, or the names as they were given where two have the same."""
    short = [short_name(name) for name in names]
    return [own if short.count(own) == 1 else name for own, name in zip(short, names, strict=True)]


def run_facts(name: str) -> dict[str, Any]:
    """What run.json says of how a model was tuned; empty for a model that wasn't tuned here."""
    source = Path(find(name))
    path = (source if is_folder(source) else folder_of(name)) / "run.json"
    facts = read_json(path) if path.is_file() else {}
    if not isinstance(facts, dict) or not isinstance(facts.get("encoding", {}), dict):
        raise XllmError(f"{path} doesn't say how the model was tuned; remove it, or tune again")
    return facts


def template_of(name: str) -> str:
    """The template that a model was tuned with; alpaca for a model that wasn't tuned here."""
    return run_facts(name).get("encoding", {}).get("template", "alpaca")
