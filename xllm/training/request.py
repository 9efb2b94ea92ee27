"""What a command line of `train` comes to; all that can be checked without data or weights is checked here."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import HfArgumentParser, TrainingArguments

from xllm import places
from xllm.artifacts import model_folder
from xllm.artifacts.file_names import clean, existing, of_mixture
from xllm.cli import TRUE
from xllm.errors import XllmError
from xllm.files import check_name
from xllm.models.load import load_causal_config, skeleton, window
from xllm.templates import TEXT, check_text_field
from xllm.training import effects, optimizers, recipe, resume
from xllm.training.flags import CONTINUE, STEP, TrainFlags

STEPS = 500  # Trainer wants a number where no checkpoints are saved, too

SEVERAL = "torchrun --nproc_per_node GPUS -m xllm train …"  # what script/train.sh of a clone does


@dataclass(frozen=True)
class Request:
    """What to train, on what, and into which folder."""

    output: Path
    template: str
    rows_a_step: int
    processes: int
    averaged_rows: int | None  # of the micro-batches whose means the loss averages, as the reference's does
    data: TrainFlags
    training: TrainingArguments


def read(flags: TrainFlags) -> Request:
    """Check a command line. Raises XllmError for flags that can't be or would have no effect."""
    config = load_causal_config(model_folder.find(flags.base))
    length, seen = flags.model_max_length, window(config)
    if seen and length > seen:
        raise XllmError(f"--model_max_length {length} is longer than the model's window of {seen}")
    if flags.method == CONTINUE and flags.template not in (None, TEXT):
        raise XllmError(f"--template {flags.template}: the METHOD continue trains on plain text, without a prompt")
    template = flags.template or (TEXT if flags.method == CONTINUE else "alpaca")
    check_text_field(flags.text_field, template)
    output = _output(flags)
    processes = int(os.environ.get("WORLD_SIZE") or (flags.prepare_only and os.environ.get("NPROC")) or 1)
    _check_sharding(flags, processes)
    rows, averaged_rows = _rows(flags, config, processes)
    model = skeleton(config)
    training = _training_arguments(flags, model.num_parameters(), output, processes)
    if training.activation_checkpointing and not model.supports_gradient_checkpointing:
        raise XllmError(f"--activation_checkpointing: a {config.model_type} model can't compute its activations again")
    if training.n_gpu > 1 and not flags.prepare_only:
        raise XllmError(f"one process sees {training.n_gpu} GPUs; use all: {SEVERAL}, or one: CUDA_VISIBLE_DEVICES=0")
    assert flags.prepare_only or training.world_size == processes
    optimizers.rehearse(training)
    return Request(output, template, rows, processes, averaged_rows, flags, training)


def _rows(flags: TrainFlags, config: Any, processes: int) -> tuple[int, int | None]:
    """The rows of a step, and those of the micro-batches whose means the loss averages, if it does."""
    each, steps = flags.per_device_train_batch_size, flags.gradient_accumulation_steps
    if flags.loss_average == STEP:
        return recipe.rows_a_step(flags.global_batch_size, each, steps, processes), None
    if getattr(config, "output_router_logits", False):
        raise XllmError(
            "--loss_average reference: the loss of this model has the balance of its experts, which transformers 4.29 "
            "doesn't know; leave the flag out, or set output_router_logits to false in config.json"
        )
    rows = recipe.rows_a_step(flags.global_batch_size, each if steps else None, steps, processes)
    return rows, recipe.averaged_rows(rows, each, processes)


class StepArguments(TrainingArguments):
    """TrainingArguments that leave a sharded model where its parts are."""

    @property
    def place_model_on_device(self) -> bool | None:
        return False if self.world_size > 1 else super().place_model_on_device


def _training_arguments(flags: TrainFlags, parameters: int, output: Path, processes: int) -> TrainingArguments:
    """The recipe's settings for a base model of that many parameters, and what the command line passes on."""
    settings = recipe.defaults(parameters) | recipe.machine()
    if flags.others.get("fp16", "False").lower() in TRUE:
        settings.pop("bf16", None)
    if flags.save_steps is not None:
        settings["save_strategy"] = "steps"
    # a batch of the Trainer is a whole step
    settings |= {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 1, "eval_steps": flags.eval_steps}
    parser = _Parser(StepArguments, allow_abbrev=False)
    parser.set_defaults(**settings, save_steps=flags.save_steps or STEPS, output_dir=str(output))
    if "report_to" in flags.others:
        parser.set_defaults(report_to=recipe.report_to(flags.others["report_to"]))
    effects.check_numbers(flags.others)
    effects.check_schedule(flags.others.get("lr_scheduler_type"))
    words = [f"--{name}={value}" for name, value in flags.others.items() if name != "report_to"]
    try:
        [training] = parser.parse_args_into_dataclasses(words, look_for_args_file=False)
    except (ValueError, ImportError, OSError) as error:  # TrainingArguments checks its values as it is made
        raise XllmError(" ".join(str(error).split())) from error
    effects.check(flags.others, training, processes)
    return training


class _Parser(HfArgumentParser):
    def error(self, message: str) -> None:
        raise XllmError(f"{message.removeprefix('argument ')}; see: xllm train --help_all")


def _check_sharding(flags: TrainFlags, processes: int) -> None:
    for flag in ("hsdp_group", "cpu_offload"):
        if getattr(flags, flag) and processes == 1:
            raise XllmError(f"--{flag}: one process shards nothing; start several: {SEVERAL}")
    for flag in ("ddp_backend", "ddp_timeout"):
        if flag in flags.others and processes == 1:
            raise XllmError(f"--{flag} has no effect with one process; start several: {SEVERAL}")
    if flags.hsdp_group is not None and processes % flags.hsdp_group:
        raise XllmError(f"--hsdp_group {flags.hsdp_group}: it must divide the {processes} processes")
    if flags.cpu_offload and not torch.cuda.is_available():
        raise XllmError("--cpu_offload: there is no GPU here whose memory it could spare")


def _output(flags: TrainFlags) -> Path:
    """The new model's folder."""
    if flags.name is not None and flags.output_dir is not None:
        raise XllmError(f"--name {flags.name} and --output_dir {flags.output_dir}: it must be one of them")
    name = flags.name
    if name is None:
        name = f"{clean(model_folder.short_name(flags.base))}.{of_mixture(flags.mixture)}.{flags.method}"
    if flags.output_dir is None and ("/" in name or name.startswith(".") or not name.strip() or not name.isprintable()):
        raise XllmError(f"{name!r} can't be a model's name: it has '/', begins with a dot, or can't be printed")
    output = Path(flags.output_dir) if flags.output_dir else existing(places.models() / name)
    output = check_name(output.absolute())
    resume.check_place(output)
    return output
