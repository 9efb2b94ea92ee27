"""loss.png, drawn from the log."""

import json
from pathlib import Path

from xllm.training.monitor import LOG


def plot(folder: Path) -> None:
    """Draw loss.png from the log."""
    from matplotlib.figure import Figure  # slow to import, and needed once

    log = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in ("loss", "eval_loss"):
        points = [(entry["step"], entry[name]) for entry in log if name in entry]
        if points:
            axes.plot(*zip(*points, strict=True), label=name.replace("_", " "))
    axes.set(xlabel="optimizer step", ylabel="mean over target tokens")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(folder / "loss.png", dpi=150)
