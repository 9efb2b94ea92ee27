"""The README.md of a tuned model: what it was made of, how, and what it scores."""

import shlex
import sys
from pathlib import Path

from tabulate import tabulate

from xllm.artifacts import file_names, scores
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


def write(folder: Path) -> None:
    """Write the card of a model from what lies in its folder: run.json, and the scores in test/."""
    run = read_json(folder / "run.json")
    with whole(folder / "README.md") as place:
        place.write_text(text(folder.name, run, scored(folder)), encoding="utf-8")


def text(name: str, run: dict, lines: list[list]) -> str:
    """The card; `run` is the content of run.json."""
    languages = sorted({term["language"] for term in run["mixture"]["terms"] if term["language"]})
    header = ["---", "library_name: transformers", "pipeline_tag: text-generation", "language:"]
    header += [f"- {language}" for language in languages] + ["---"]
    terms = [
        [term["from"], term["language"] or "", f"{term['rows']:,}", f"{term['target_tokens']:,}"]
        for term in run["encoding"]["terms"]
    ]
    parts = [
        "\n".join(header),
        f"# {name}",
        f"{run['base']['name']}, tuned on `{run['mixture']['text']}` by",
        "```\n" + shlex.join(run["command"]) + "\n```",
        "## Mixture",
        _table(terms, ["dataset", "language", "rows", "target tokens"]),
        "## Settings",
        _table(settings(run), ["setting", "value"]),
        "`run.json` has the rest: the sha256 of every file, the versions, the machine. `log.jsonl` has every step.",
        "![loss](loss.png)",
    ]
    if lines:
        parts += ["## Scores", _table(lines, ["dataset", "metric", "score", "95 %", "rows", "signature"])]
    return "\n\n".join(parts) + "\n"


def settings(run: dict) -> list[list]:
    """What a reader wants to know of a training run: names, and the values in the content of its run.json."""
    training, encoding = run["training"], run["encoding"]
    found = [["base", run["base"]["name"]], ["rows a step", run["rows_a_step"]]]
    found += [["template", encoding["template"]], ["tokens of a row, at most", encoding["model_max_length"]]]
    return found + [[setting.replace("_", " "), training[setting]] for setting in SETTINGS if setting in training]


def scored(folder: Path) -> list[list]:
    """What `evaluate` has written of a model; what another version wrote is left out, and told."""
    lines = []
    for path in file_names.listed(folder / "test", scores.ENDING).values():
        try:
            _, found = scores.read(path)
        except XllmError as error:
            print(f"left out of the model's card: {error}", file=sys.stderr)
            continue
        for own in found:
            for score in own.scores:
                interval = "" if score.low is None else f"{score.low:.2f} to {score.high:.2f}"
                lines.append([own.name, score.metric, f"{score.value:.2f}", interval, score.count, score.signature])
    return lines


def _table(lines: list[list], header: list[str]) -> str:
    # a signature has bars of its own
    escaped = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return tabulate(escaped, header, tablefmt="pipe", disable_numparse=True)
