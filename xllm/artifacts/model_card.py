"""The README.md of a tuned model: what it was made of, how, and what it scores."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tabulate import tabulate

from xllm import languages
from xllm.artifacts import file_names, model_folder, scores
from xllm.artifacts.scores import Scored
from xllm.errors import XllmError
from xllm.files import read_json, whole

SETTINGS = (
    "num_train_epochs",
    "max_steps",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "seed",
)


LICENSES = {  # what a licence's text says → its identifier on the hub
    "apache-2.0": r"Apache License\s+Version 2\.0",
    "mit": r"MIT License|Permission is hereby granted, free of charge",
    "llama3.1": r"LLAMA 3\.1 COMMUNITY LICENSE",
    "llama3.2": r"LLAMA 3\.2 COMMUNITY LICENSE",
    "llama3": r"LLAMA 3 COMMUNITY LICENSE",
    "llama2": r"LLAMA 2 COMMUNITY LICENSE",
    "cc-by-nc-4.0": r"Attribution-NonCommercial 4\.0",
    "cc-by-4.0": r"Attribution 4\.0 International",
}
UNKNOWN = "unknown"  # a licence's identifier on the hub where nothing is known


def write(folder: Path) -> None:
    """Write the card of a model from what lies in its folder: run.json, and the scores in test/."""
    run = read_json(folder / "run.json")
    with whole(folder / "README.md") as place:
        place.write_text(text(folder.name, run, scored(folder)), encoding="utf-8")


def origin(source: str) -> dict[str, str | None]:
    """What a model's card says of its base: `base_model`, its id on the hub or its name, if that can be one, and its
    `license`, with `license_name` and `license_link` where the hub has no identifier for it."""
    folder, own = Path(source), {}
    if folder.is_dir():
        facts = read_json(folder / "run.json") if (folder / "run.json").is_file() else {}
        fetched = facts.get("fetched") if isinstance(facts, dict) else None
        card = folder / "README.md"
        cached = model_folder.snapshot(source)
        name = fetched if isinstance(fetched, str) else cached[0] if cached else folder.resolve().name
        own = _license(folder)
    else:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(source, "README.md")
        name, card = source, Path(found if isinstance(found, str) else "")
    stated = _metadata(card)
    if isinstance(stated.get("license"), str):
        keys = ("license", "license_name", "license_link")
        own = {key: stated[key] for key in keys if isinstance(stated.get(key), str)}
    return {"base_model": name if _is_hub_id(name) else None, "license": UNKNOWN, **own}


def _metadata(card: Path) -> dict[str, Any]:
    """The YAML at the head of a card; empty where there is none that can be read."""
    import yaml
    from huggingface_hub import metadata_load

    try:
        return (metadata_load(card) if card.is_file() else None) or {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}


def _license(folder: Path) -> dict[str, str]:
    """The licence that a folder has as text."""
    for path in filter(Path.is_file, sorted(folder.glob("LICENSE*"))):
        said = path.read_text(encoding="utf-8", errors="replace")
        known = [name for name, words in LICENSES.items() if re.search(words, said)]
        return {"license": known[0]} if known else {"license": "other", "license_name": path.name.lower()}
    return {}


def _is_hub_id(name: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def header(name: str, run: dict[str, Any], found: list[tuple[str, Scored]]) -> str:
    """The card's metadata as YAML, in the hub's terms."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="text-generation",
            task_name=own.task,
            dataset_type=own.name,
            dataset_name=stem,
            dataset_config=stem,
            metric_type=score.metric,
            metric_name=score.metric,
            metric_value=round(score.value, 4),
            metric_args={name: getattr(score, name) for name in ("count", "low", "high", "interval", "signature")},
        )
        for stem, own in found
        for score in own.scores
    ]
    codes = {code for term in run["mixture"]["terms"] if term["language"] and (code := _iso(term["language"]))}
    data = ModelCardData(
        model_name=name,
        library_name="transformers",
        pipeline_tag="text-generation",
        language=sorted(codes) or None,
        eval_results=results or None,
        **run.get("origin", {"license": UNKNOWN}),
    )
    return data.to_yaml()


def _iso(language: str) -> str | None:
    """The ISO 639 code of a language, without script and region, as the hub has them."""
    code = languages.short(re.split("[-_]", language)[0].lower())
    return code if re.fullmatch("[a-z]{2,3}", code) else None


def text(name: str, run: dict[str, Any], found: list[tuple[str, Scored]]) -> str:
    """The card; `run` is the content of run.json, `found` what `scored` gives."""
    terms = [
        [term["from"], term["language"] or "", f"{term['rows']:,}", f"{term['target_tokens']:,}"]
        for term in run["encoding"]["terms"]
    ]
    aliases = [f"- `{alias}` is `{mixture}`" for alias, mixture in run.get("aliases", {}).items()]
    licence = run.get("origin", {}).get("license", UNKNOWN)
    licence = "not known here" if licence == UNKNOWN else licence
    parts = [
        f"---\n{header(name, run, found)}\n---",
        f"# {name}",
        f"{run['base']['name']}, tuned on `{run['mixture']['text']}` by",
        "```\n" + shlex.join(run["command"]) + "\n```",
        f"The licence of the base is {licence}; the datasets have their own.",
        "## Mixture",
        *(["\n".join(aliases)] if aliases else []),
        _table(terms, ["dataset", "language", "rows", "target tokens"]),
        "## Settings",
        _table(settings(run), ["setting", "value"]),
        "`run.json` has the rest: the sha256 of every file, the versions, the machine. `log.jsonl` has every step.",
        "![loss](loss.png)",
    ]
    if lines := [line for _, own in found for line in _lines(own)]:
        parts += ["## Scores", _table(lines, ["dataset", "metric", "score", "95 %", "rows", "signature"])]
    return "\n\n".join(parts) + "\n"


def settings(run: dict[str, Any]) -> list[list[Any]]:
    """What a reader wants to know of a training run: names, and the values in the content of its run.json."""
    training, encoding = run["training"], run["encoding"]
    found = [["base", run["base"]["name"]], ["rows a step", run["rows_a_step"]]]
    found += [["template", encoding["template"]], ["tokens of a row, at most", encoding["model_max_length"]]]
    return found + [[setting.replace("_", " "), training[setting]] for setting in SETTINGS if setting in training]


def scored(folder: Path) -> list[tuple[str, Scored]]:
    """What `evaluate` has written of a model, each with the name of its file; what another version wrote is left out,
    and told."""
    files = file_names.listed(folder / "test", scores.ENDING)
    return [(stem, own) for stem, path in files.items() for own in _read(path)]


def _read(path: Path) -> list[Scored]:
    try:
        return scores.read(path)[1]
    except XllmError as error:
        print(f"left out of the model's card: {error}", file=sys.stderr)
        return []


def _lines(own: Scored) -> Iterator[list[Any]]:
    for score in own.scores:
        interval = "" if score.low is None else f"{score.low:.2f} to {score.high:.2f}"
        yield [own.name, score.metric, f"{score.value:.2f}", interval, score.count, score.signature]


def _table(lines: list[list[Any]], header: list[str]) -> str:
    # a signature has bars of its own
    escaped = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return tabulate(escaped, header, tablefmt="pipe", disable_numparse=True)
