"""The command line of `train`."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from transformers import TrainingArguments

from xllm import models
from xllm.errors import XllmError
from xllm.flags import FlagParser
from xllm.prompts import TEMPLATES
from xllm.records import check_name, partial
from xllm.training import recipe


@dataclass
class DataArguments:
    data_dir: str | None = field(default=None, metadata={"help": "The data root; else $XLLM_DATA_DIR, else data/."})
    template: str = field(default="alpaca", metadata={"help": "The prompt.", "choices": sorted(TEMPLATES)})
    model_max_length: int = field(default=512, metadata={"help": "Tokens of a row; longer rows lose their end."})
    global_batch_size: int | None = field(
        default=None, metadata={"help": f"Rows an optimizer step over all processes ({recipe.BATCH})."}
    )


@dataclass(frozen=True)
class Request:
    """What to train, on what, and into which folder."""

    base: str
    mixture: str
    output: Path
    data: DataArguments
    training: TrainingArguments  # its output_dir is where the work goes on until it is whole


def read(argv: list[str]) -> Request:
    """Read the command line. Everything that can be checked without data or weights is checked here."""
    words = {
        "base": "the model to start from: a folder under model/, a path, or a hub id",
        "mixture": "what to train on, as alpaca_en+alpaca_zh[:1000]",
        "method": "(finetune) the last part of the new model's name",
    }
    parser = FlagParser("train", words, [DataArguments, TrainingArguments])
    parser.set_defaults(gradient_accumulation_steps=None, output_dir=None, **recipe.COMMON)
    given = parser.known(argv)
    config = models.load_config(models.find(given.base))
    _check_window(config, given)
    output = Path(given.output_dir or models.MODELS / _name(given)).absolute()
    if check_name(output).exists():
        raise XllmError(f"{output} is there already; remove it, or give the new model another METHOD")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    steps = recipe.accumulation(
        given.global_batch_size, given.gradient_accumulation_steps, given.per_device_train_batch_size, processes
    )
    parser.set_defaults(
        **recipe.defaults(models.count_parameters(config)),
        **recipe.machine(),
        **(recipe.FSDP if processes > 1 and _on_gpus() else {}),
        gradient_accumulation_steps=steps,
        output_dir=str(partial(output)),
    )
    data, training, _ = parser.read(argv)
    if training.eval_strategy != "no":
        raise XllmError(f"--eval_strategy {training.eval_strategy.value}: training has no evaluation set; leave it out")
    training.output_dir = str(partial(output))
    training.gradient_accumulation_steps = steps
    return Request(given.base, given.mixture, output, data, training)


def _name(given) -> str:
    return f"{models.short_name(given.base)}.{given.mixture}.{given.method or 'finetune'}"


def _check_window(config, given) -> None:
    window = models.window(config)
    if window and given.model_max_length > window:
        raise XllmError(f"--model_max_length {given.model_max_length} is longer than the model's window of {window}")


def _on_gpus() -> bool:
    import torch

    return torch.cuda.is_available()
