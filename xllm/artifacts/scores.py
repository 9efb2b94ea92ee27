"""<dataset>.metrics.json: the scores of a model's answers, each with what made it."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from xllm.errors import XllmError
from xllm.files import read_json, write_json

ENDING = ".metrics.json"
FORMAT = 2  # of the file; the first had neither intervals nor shares
# metrics, and shares of flawed answers
LOWER_IS_BETTER = ("TER", "loss_rate", "wrong_language", "empty", "cut", "copy", "failed", "parse_failures", "gated")


@dataclass(frozen=True)
class Score:
    """A number that says how it came about."""

    metric: str
    value: float  # 0 to 100, if the metric's own scale is no other
    count: int  # rows scored
    signature: str
    low: float | None = None  # the ends of the 95 % interval, where there is one
    high: float | None = None


@dataclass(frozen=True)
class Scored:
    """What was found of one dataset's answers."""

    name: str  # what its rows come `from`
    task: str | None
    language: str | None
    scores: list[Score]
    shares: list[Score]  # of answers that are flawed, in percent
    confusion: dict | None = None  # `labels`, and `counts`: a row a right label, a column an answered one


def write(path: Path, model: str | None, dataset: str, command: list[str], sha256: str, found: list[Scored]) -> None:
    """Write the scores of answers that have this `sha256`, whole or not at all."""
    facts = {"format": FORMAT, "model": model, "dataset": dataset, "command": command, "answers_sha256": sha256}
    write_json(path, {**facts, "scored": [{"from": s.name, **_without_name(s)} for s in found]})


def _without_name(scored: Scored) -> dict:
    return {key: value for key, value in asdict(scored).items() if key != "name"}


def read(path: Path) -> tuple[dict, list[Scored]]:
    """The facts of a file of scores, and the scores. Raises XllmError for one that another version has written, or
    that lacks something."""
    content = read_json(path)
    model, dataset = path.parent.parent, path.name.removesuffix(ENDING)
    dataset, judge, _ = dataset.partition(".judge")
    command = f"judge {model} --dataset" if judge else f"evaluate {model}"
    again = f"score anew: python -m xllm {command} {dataset}"
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise XllmError(f"{path} was written by another version of xllm; {again}")
    try:
        facts = {key: content[key] for key in ("model", "dataset", "command", "answers_sha256")}
        scored = [
            Scored(
                entry["from"],
                entry["task"],
                entry["language"],
                [_score(score) for score in entry["scores"]],
                [_score(share) for share in entry["shares"]],
                entry["confusion"],
            )
            for entry in content["scored"]
        ]
        texts = [*facts["command"], *(own.name for own in scored), *(own.language or "" for own in scored)]
        if not all(isinstance(text, str) for text in texts) or isinstance(facts["command"], str):
            raise TypeError("its command, names and languages must be texts")
    except (KeyError, TypeError, AttributeError) as error:
        raise XllmError(f"{path} isn't what evaluate writes ({error}); {again}") from None
    return facts, scored


def _score(entry: dict) -> Score:
    """A score as read from JSON. Raises TypeError where it isn't one."""
    score = Score(**entry)
    ends = [score.low, score.high]
    numbers = [score.value, score.count, *(ends if ends != [None, None] else [])]
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers) or not all(
        isinstance(text, str) for text in (score.metric, score.signature)
    ):
        raise TypeError(f"{score.metric} is {json.dumps(entry)[:60]}")
    return score
