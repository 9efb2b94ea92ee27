"""What a researcher watches: speed, rows that stand out, and a log that anything can read."""

import json
import math
import statistics
import sys
import time
from collections import Counter, deque
from pathlib import Path

import torch
from transformers import PreTrainedModel

from xllm.errors import XllmError
from xllm.training.flops import costs

SHOWN = 3  # rows named in a message
SPIKE = 6.0  # standard deviations above the mean of the steps before
BEFORE, ENOUGH = 50, 10  # steps that a loss is compared with: at most, at least
LOG = "log.jsonl"


class Watch:
    """Follows a run: refuses what can't be trained on, and adds what it measures to each entry of the log."""

    def __init__(self, folder: Path, model: PreTrainedModel, peak: float, ranks: int) -> None:
        """`peak` is what `matrix_rate` gives; `folder` is where checkpoints and the log go."""
        self.folder, self.peak = folder, peak * ranks
        self.costs = costs(model)
        self.counted: Counter[str] = Counter()
        self.losses: deque[float] = deque(maxlen=BEFORE)
        self.worst: list[tuple[float, str]] = []
        self.began = time.perf_counter()
        self.logged: dict[str, float | None] = {}  # the last line of the log
        self.logged_at = 0  # bytes before it

    def operations(self, step: dict) -> int:
        """The floating point operations that a step can't do without, forward and backward, over all ranks."""
        return sum(cost * step[what] for what, cost in self.costs.items())

    def begin(self, step: dict) -> None:
        """Count a step that begins."""
        self.worst = []
        self.counted += Counter({what: step[what] for what in ("targets", "tokens", "padded")})
        self.counted += Counter(steps=1, with_targets=bool(step["targets"]))
        self.counted["operations"] += self.operations(step)

    def rows(self, names: list[str], losses: torch.Tensor) -> None:
        """Look at the summed losses of a micro-batch's rows. Raises XllmError where one isn't finite."""
        found = list(zip(losses[: len(names)].tolist(), names, strict=True))
        if broken := [name for loss, name in found if not abs(loss) < float("inf")]:
            raise XllmError(f"the loss isn't finite at {_listed(broken)}; a lower --learning_rate may help")
        self.worst += found

    def gradient(self, norm: torch.Tensor) -> None:
        """Raise XllmError where the norm of a step's gradient isn't finite."""
        if not torch.isfinite(norm):
            names = [name for _, name in sorted(self.worst, reverse=True)]
            raise XllmError(f"the gradient isn't finite at {_listed(names)}; a lower --learning_rate may help")

    def mean_loss(self, loss: float) -> float:
        """The mean loss of the steps since the last line of the log, from the mean that counts a step without targets
        as 0; NaN where none had any."""
        steps, with_targets = self.counted["steps"], self.counted["with_targets"]
        return loss if with_targets == steps else loss * steps / with_targets if with_targets else math.nan

    def since(self) -> dict:
        """What has been counted since the last line of the log, and the seconds since."""
        return {"counted": dict(self.counted), "seconds": time.perf_counter() - self.began}

    def go_on(self, counted: dict[str, int], seconds: float) -> None:
        """Count on from what `since` gave."""
        self.counted, self.began = Counter(counted), time.perf_counter() - seconds

    def measured(self, step: int, steps: int) -> dict[str, float]:
        """What was measured since the last call: tokens a second, the share of padding, of the machine's rate of matrix
        products (MFU), and the seconds left, `step` of `steps` being done."""
        now = time.perf_counter()
        seconds, counted = now - self.began, self.counted
        self.began, self.counted = now, Counter()
        if not counted["padded"]:
            return {}
        return {
            "target_tokens_per_second": round(counted["targets"] / seconds, 1),
            "tokens_per_second": round(counted["tokens"] / seconds, 1),
            "padding": round(1 - counted["tokens"] / counted["padded"], 4),
            "mfu": round(counted["operations"] / seconds / self.peak, 4),
            "seconds_left": round((steps - step) * seconds / counted["steps"], 1),
        }

    def spike(self, step: int, loss: float) -> None:
        """Say so where a loss is far above those before, and name the rows of this rank that it comes from."""
        if len(self.losses) >= ENOUGH:
            mean, spread = statistics.mean(self.losses), statistics.pstdev(self.losses)
            if loss > mean + SPIKE * spread:
                worst = ", ".join(f"{name} ({rows:.1f})" for rows, name in sorted(self.worst, reverse=True)[:SHOWN])
                print(
                    f"step {step}: the loss {loss:.3f} is far above {mean:.3f} ± {spread:.3f}; {worst}", file=sys.stderr
                )
        self.losses.append(loss)

    def write(self, entry: dict) -> None:
        """Add an entry to the log, which has one line for each step: what is logged of a step twice goes together.
        Numbers that aren't finite are null, which all readers of JSON take."""
        finite = {name: value if math.isfinite(value) else None for name, value in entry.items()}
        with (self.folder / LOG).open("ab") as file:
            if finite["step"] == self.logged.get("step"):
                file.truncate(self.logged_at)
                finite = self.logged | finite
            else:
                self.logged_at = file.tell()
            self.logged = finite
            file.write(json.dumps(finite).encode() + b"\n")

    def resume(self, step: int) -> None:
        """Take back what was logged after `step`: it is about to be done again."""
        path = self.folder / LOG
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        path.write_text("".join(line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more rows" if len(names) > SHOWN else "")
