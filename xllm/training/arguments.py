"""The command line of `train`."""

import os
from argparse import Namespace
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
    mix_rows: int | None = field(
        default=None, metadata={"help": "Rows of the mixture; else as many as its terms have."}
    )
    mix_temperature: float = field(default=1.0, metadata={"help": "T: a dataset of n rows gets a share of n^(1/T)."})
    max_lost: str | None = field(
        default=None, metadata={"help": "Refuse a mixture of which a dataset loses more of its target tokens, as 2%%."}
    )
    filter_parallel: bool = field(
        default=False,
        metadata={"help": "Leave out parallel pairs that are copies, of odd lengths, or in another language."},
    )
    drop_contaminated: str | None = field(
        default=None,
        metadata={"help": "Leave out rows that overlap with these test sets, separated by commas: xquad_zh,mlqa_zh."},
    )
    num_proc: int = field(default=1, metadata={"help": "Processes that tokenize."})
    lock: str | None = field(default=None, metadata={"help": "Refuse a mixture that isn't that of this lockfile."})
    prepare_only: bool = field(
        default=False,
        metadata={"help": "Check everything and tokenize into the cache, then stop; $NPROC is the processes to come."},
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
    _check(given, models.window(config))
    output = _output(given)
    processes = int(os.environ.get("WORLD_SIZE") or (given.prepare_only and os.environ.get("NPROC")) or 1)
    settings = recipe.defaults(models.count_parameters(config)) | recipe.machine(processes)
    if given.fp16:
        settings.pop("bf16", None)
    settings["gradient_accumulation_steps"] = recipe.accumulation(
        given.global_batch_size, given.gradient_accumulation_steps, given.per_device_train_batch_size, processes
    )
    parser.set_defaults(**settings, output_dir=str(output))
    data, training, _ = parser.read(argv)
    if training.n_gpu > 1 and not data.prepare_only:
        raise XllmError(
            f"one process sees {training.n_gpu} GPUs: use all by bash script/train.sh, or one by CUDA_VISIBLE_DEVICES=0"
        )
    assert data.prepare_only or training.world_size == processes
    training.output_dir = str(partial(output))
    return Request(given.base, given.mixture, output, data, training)


def _check(given: Namespace, window: int | None) -> None:
    """Raise XllmError for flags that can't be or would have no effect."""
    if window and given.model_max_length > window:
        raise XllmError(f"--model_max_length {given.model_max_length} is longer than the model's window of {window}")
    if given.eval_strategy != "no":
        raise XllmError(f"--eval_strategy {given.eval_strategy}: training has no evaluation set; leave it out")
    if given.save_strategy != "no" or given.resume_from_checkpoint:
        flag = "save_strategy" if given.save_strategy != "no" else "resume_from_checkpoint"
        raise XllmError(
            f"--{flag} {getattr(given, flag)}: there are no checkpoints, only the finished model; leave it out"
        )


def _output(given: Namespace) -> Path:
    name = f"{models.short_name(given.base)}.{given.mixture}.{given.method or 'finetune'}"
    if "/" in name:
        raise XllmError(f"a model's name holds no '/': {name}")
    output = check_name(Path(given.output_dir or models.MODELS / name).absolute())
    if output.exists():
        raise XllmError(f"{output} is there already; remove it, or give the new model another METHOD")
    return output
