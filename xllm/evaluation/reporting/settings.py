"""The settings of the runs that a report is about: of training, and of the answers."""

import shlex
from collections.abc import Iterator

from xllm.artifacts import model_card
from xllm.errors import XllmError
from xllm.evaluation.reporting.table import Model, Table

# what run.json of answers says that decides them
DECIDING = ("template", "decoding", "seed", "labels", "transcot", "engine", "bits", "precision")
UNTUNED = "None of these models has a run.json, which says how it was tuned."
ANSWERS = ["model", "datasets", "settings"]


def training(table: Table) -> list[list[str]]:
    """A line for each setting: its name, and its value for each model; empty for a model that wasn't tuned here."""
    columns = [_of_training(model) for model in table.models]
    names = dict.fromkeys(name for column in columns for name in column)
    return [[name, *(column.get(name, "") for column in columns)] for name in names]


def _of_training(model: Model) -> dict[str, str]:
    run = model.run
    if "encoding" not in run:  # it was fetched, or comes from elsewhere
        return {"command": shlex.join(run["command"])} if "command" in run else {}
    try:
        facts = {name: str(value) for name, value in model_card.settings(run)}
        facts["mixture"] = run["mixture"]["text"]
        facts["versions"] = _told(run.get("versions", {}))
        return facts | {"command": shlex.join(run["command"])}
    except (KeyError, TypeError, AttributeError) as error:
        raise XllmError(f"the run.json of {model.name} isn't what train writes ({error!r})") from None


def answers(table: Table) -> Iterator[list[str]]:
    """A line for each way in which a model answered: model, datasets, settings."""
    for label, model in zip(table.labels, table.models, strict=True):
        for settings, datasets in _of_answers(model).items():
            yield [label, ", ".join(datasets), settings]


def _of_answers(model: Model) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for own in model.answered:
        settings = {"split": own.run.get("mixture", {}).get("split")}
        for name in DECIDING:
            value = own.run.get(name)
            settings |= value if isinstance(value, dict) else {name: value}
        found.setdefault(_told(settings) or "not known", []).append(own.dataset)
    return found


def _told(settings: dict) -> str:
    """What is set, in words; what is off or has no value says nothing."""
    return ", ".join(f"{name} {value}" for name, value in settings.items() if value not in (None, False, ""))
