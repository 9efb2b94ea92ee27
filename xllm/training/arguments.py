"""The command line of `train`."""

import os
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path

from transformers import TrainingArguments

from xllm.artifacts import model_folder
from xllm.errors import XllmError
from xllm.files import check_name, partial
from xllm.flags import FlagParser
from xllm.models import load
from xllm.models.load import load_config, skeleton
from xllm.templates import TEMPLATES, TEXT
from xllm.training import recipe


@dataclass
class DataArguments:
    data_dir: str | None = field(default=None, metadata={"help": "The data root; else $XLLM_DATA_DIR, else data/."})
    template: str = field(default="alpaca", metadata={"help": "The prompt.", "choices": sorted(TEMPLATES)})
    model_max_length: int = field(default=512, metadata={"help": "Tokens of a row; longer rows lose their end."})
    global_batch_size: int | None = field(
        default=None, metadata={"help": f"Rows an optimizer step over all processes ({recipe.BATCH})."}
    )
    tokens_per_micro_batch: int | None = field(
        default=None, metadata={"help": "Tokens that go through the model at a time; else what memory allows."}
    )
    hsdp_group: int | None = field(
        default=None, metadata={"help": "Processes that share one copy of the model; else all of them do."}
    )
    cpu_offload: bool = field(
        default=False, metadata={"help": "Keep weights, gradients and optimizer of a sharded model on the CPU."}
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
    eval_mixture: str | None = field(
        default=None, metadata={"help": "Held-out rows; their loss is logged every --eval_steps and at the end."}
    )
    dev: str | None = field(
        default=None,
        metadata={"help": "Questions that are answered greedily and scored then, as translation_flores_en-zh[:50]."},
    )
    eval_split: str = field(default="validation", metadata={"help": "The split of --eval_mixture and --dev."})
    num_proc: int = field(default=1, metadata={"help": "Processes that tokenize."})
    lock: str | None = field(default=None, metadata={"help": "Refuse a mixture that isn't that of this lockfile."})
    prepare_only: bool = field(
        default=False,
        metadata={"help": "Check everything and tokenize into the cache, then stop; $NPROC is the processes to come."},
    )


CONTINUE = "continue"  # the method that is continued pretraining, on plain text
ROWS = ("per_device_train_batch_size", "gradient_accumulation_steps")
INSTEAD = {  # flags of TrainingArguments that have no place here → what has
    "fsdp": "several processes shard the model by themselves; --hsdp_group and --cpu_offload say how",
    "fsdp_config": "several processes shard the model by themselves; --hsdp_group and --cpu_offload say how",
    "eval_strategy": "--eval_mixture and --dev evaluate, every --eval_steps",
    "save_strategy": "--save_steps N saves checkpoints",
    "resume_from_checkpoint": "the same command, given again, goes on from its last checkpoint",
}


@dataclass(frozen=True)
class Request:
    """What to train, on what, and into which folder."""

    base: str
    mixture: str
    output: Path
    rows_a_step: int
    processes: int
    data: DataArguments
    training: TrainingArguments  # its output_dir is where the work goes on until it is whole


def read(argv: list[str]) -> Request:
    """Read the command line. Everything that can be checked without data or weights is checked here."""
    words = {
        "base": "the model to start from: a folder under model/, a path, or a hub id",
        "mixture": "what to train on, as alpaca_en+alpaca_zh[:1000]",
        "method": "(finetune) the last part of the new model's name; continue trains on plain text",
    }
    parser = FlagParser("train", words, [DataArguments, TrainingArguments])
    if parser.known(argv).method == CONTINUE:
        parser.set_defaults(template=TEXT)
    parser.set_defaults(**dict.fromkeys((*ROWS, "output_dir", "save_steps")), **recipe.COMMON)
    given = parser.known(argv)
    config = load_config(model_folder.find(given.base))
    _check(given, load.window(config))
    output = _output(given)
    processes = int(os.environ.get("WORLD_SIZE") or (given.prepare_only and os.environ.get("NPROC")) or 1)
    _check_sharding(given, processes)
    rows = recipe.rows_a_step(given.global_batch_size, *(getattr(given, flag) for flag in ROWS), processes)
    settings = recipe.defaults(skeleton(config).num_parameters()) | recipe.machine()
    if given.fp16:
        settings.pop("bf16", None)
    if given.save_steps is not None:
        settings["save_strategy"] = "steps"
    parser.set_defaults(
        **settings, **dict.fromkeys(ROWS, 1), save_steps=given.save_steps or 500, output_dir=str(output)
    )
    data, training, _ = parser.read(argv)
    for flag in ROWS:
        setattr(training, flag, 1)  # a batch of the Trainer is a whole step
    if training.n_gpu > 1 and not data.prepare_only:
        raise XllmError(
            f"one process sees {training.n_gpu} GPUs: use all by bash script/train.sh, or one by CUDA_VISIBLE_DEVICES=0"
        )
    assert data.prepare_only or training.world_size == processes
    training.output_dir = str(partial(output))
    return Request(given.base, given.mixture, output, rows, processes, data, training)


def _check(given: Namespace, window: int | None) -> None:
    """Raise XllmError for flags that can't be or would have no effect."""
    if window and given.model_max_length > window:
        raise XllmError(f"--model_max_length {given.model_max_length} is longer than the model's window of {window}")
    if given.eval_steps is not None and (given.eval_steps < 1 or not (given.eval_mixture or given.dev)):
        raise XllmError(f"--eval_steps {given.eval_steps}: it must be 1 or more, and goes with --eval_mixture or --dev")
    if given.save_steps is not None and (given.save_steps < 1 or given.save_steps != int(given.save_steps)):
        raise XllmError(f"--save_steps {given.save_steps}: it must be a whole number above 0")
    if given.tokens_per_micro_batch is not None and given.tokens_per_micro_batch < 1:
        raise XllmError(f"--tokens_per_micro_batch {given.tokens_per_micro_batch}: it must be 1 or more")
    for flag, instead in INSTEAD.items():
        if getattr(given, flag) not in (None, False, "", "no", "False"):
            raise XllmError(f"--{flag} {getattr(given, flag)}: {instead}")


def _check_sharding(given: Namespace, processes: int) -> None:
    import torch

    for flag in ("hsdp_group", "cpu_offload"):
        if getattr(given, flag) and processes == 1:
            raise XllmError(f"--{flag}: one process shards nothing; start several by bash script/train.sh")
    if given.hsdp_group is not None and (given.hsdp_group < 1 or processes % given.hsdp_group):
        raise XllmError(f"--hsdp_group {given.hsdp_group}: it must divide the {processes} processes")
    if given.cpu_offload and not torch.cuda.is_available():
        raise XllmError("--cpu_offload: there is no GPU here whose memory it could spare")


def _output(given: Namespace) -> Path:
    name = f"{model_folder.short_name(given.base)}.{given.mixture}.{given.method or 'finetune'}"
    if "/" in name:
        raise XllmError(f"a model's name holds no '/': {name}")
    output = check_name(Path(given.output_dir or model_folder.MODELS / name).absolute())
    if output.exists():
        raise XllmError(f"{output} is there already; remove it, or give the new model another METHOD")
    return output
