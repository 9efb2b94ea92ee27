"""What a person sees of a run: an aligned line for each step that is logged."""

import sys
from datetime import timedelta
from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback

# entry of the log → its name on a line, and how its value is written
SHOWN = {
    "loss": ("loss", "{:8.4f}"),
    "grad_norm": ("grad norm", "{:8.3f}"),
    "learning_rate": ("lr", "{:9.3g}"),
    "tokens_per_second": ("tokens/s", "{:9,.0f}"),
    "mfu": ("MFU", "{:6.1%}"),
}


class StepLines(TrainerCallback):
    """Prints entries of the log as lines on stderr, in the first process."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and logs:
            print(line(logs, state.global_step, state.max_steps), file=sys.stderr, flush=True)


def show_steps(trainer: Trainer) -> None:
    """Let a trainer print lines, in place of a dict between two bars."""
    for other in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(other)
    trainer.add_callback(StepLines)


def line(entry: dict[str, Any], step: int, steps: int) -> str:
    """An entry of the log: that of a step, of an evaluation (whatever its scores are called), or of the whole run."""
    place = f"step {step:>{len(str(steps))}}/{steps}"
    if "train_runtime" in entry:
        lasted = timedelta(seconds=round(entry["train_runtime"]))
        return f"{place}  trained in {lasted}  mean loss {entry['train_loss']:.4f}"
    if "loss" not in entry:
        scores = [
            f"{name} {value:.4g}" for name, value in entry.items() if isinstance(value, float) and name != "epoch"
        ]
        return "  ".join([place, *scores])
    parts = [f"{name} {form.format(entry[key])}" for key, (name, form) in SHOWN.items() if key in entry]
    if "seconds_left" in entry:
        parts.append(f"left {timedelta(seconds=round(entry['seconds_left']))}")
    return "  ".join([place, *parts])
