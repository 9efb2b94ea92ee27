"""The reference's hyper-parameters (x-LLM, script/train.sh), as defaults that any flag overrides, and which flags of
transformers.TrainingArguments do something here."""

from dataclasses import dataclass, fields
from importlib.util import find_spec

from xllm.errors import XllmError
from xllm.packages import package_of

BATCH = 128  # rows an optimizer step, over all GPUs
PER_DEVICE = 4  # rows a micro-batch

COMMON = {
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.03,  # below 1: a share of all steps
    "weight_decay": 0.0,
    "optim": "adamw_torch_fused",  # AdamW; the fused way of computing it
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "tensorboard" if find_spec("tensorboard") else "none",
    "remove_unused_columns": False,  # our rows have no other
}

# parameters of the base model, from this many on → what differs; LLaMA-13B is the first of the large ones
BY_SIZE = (
    (10e9, {"num_train_epochs": 5.0, "learning_rate": 1e-5}),
    (0, {"num_train_epochs": 3.0, "learning_rate": 2e-5}),
)


def defaults(parameters: int) -> dict:
    """TrainingArguments for a base model of that many parameters."""
    return COMMON | next(settings for least, settings in BY_SIZE if parameters >= least)


def machine() -> dict:
    """bf16 and tf32 where there are GPUs that have them; float32 on a CPU."""
    import torch

    if not torch.cuda.is_available():
        # unless told that it is to use the CPU, accelerate doesn't notice that there are several processes
        return {"dataloader_pin_memory": False, "use_cpu": not torch.backends.mps.is_available()}
    return {
        "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
        "tf32": torch.cuda.get_device_capability() >= (8, 0),
    }


def rows_a_step(batch: int | None, rows: int | None, steps: int | None, processes: int) -> int:
    """The rows of an optimizer step over all `processes`: --global_batch_size, or the product of what other recipes
    say, `rows` for each process and `steps` of accumulation; 128 where nothing is said.

    Raises XllmError where they contradict each other.
    """
    flags = {
        "global_batch_size": batch,
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": steps,
    }
    for flag, value in flags.items():
        if value is not None and value < 1:
            raise XllmError(f"--{flag} {value}: it must be 1 or more")
    if rows is None and steps is None:
        return batch or BATCH
    if rows is None or steps is None:
        given = "gradient_accumulation_steps" if rows is None else "per_device_train_batch_size"
        raise XllmError(
            f"--{given} alone says nothing: micro-batches go by --tokens_per_micro_batch, and the rows of a step by "
            "--global_batch_size"
        )
    if batch not in (None, rows * steps * processes):
        raise XllmError(
            f"--global_batch_size {batch} isn't --per_device_train_batch_size {rows} × "
            f"--gradient_accumulation_steps {steps} × {processes} processes; leave one of them out"
        )
    return rows * steps * processes


def averaged_rows(rows_a_step: int, rows: int | None, processes: int) -> int:
    """The rows of the micro-batches whose means the reference averages: --per_device_train_batch_size, else 4.

    Raises XllmError where a step isn't made of whole ones on each of the `processes`.
    """
    rows = rows or PER_DEVICE
    if rows_a_step % (rows * processes):
        raise XllmError(
            f"--loss_average reference: a step of {rows_a_step} rows can't be made of micro-batches of {rows} rows on "
            f"each of {processes} processes; set --per_device_train_batch_size or --global_batch_size"
        )
    return rows


@dataclass(frozen=True)
class PassedOn:
    """A flag that is handed to transformers.TrainingArguments."""

    help: str
    default: str  # in words
    kind: str | tuple[str, ...] = "value"  # or "switch", or the values that it takes several of
    limits: dict[str, float] | None = None  # of a number, as `xllm.cli.flag` has them


# where the Trainer can send its log → the module that does it
REPORTERS = {
    "azure_ml": "azureml",
    "clearml": "clearml",
    "codecarbon": "codecarbon",
    "comet_ml": "comet_ml",
    "dagshub": "dagshub",
    "dvclive": "dvclive",
    "flyte": "flytekit",
    "kubeflow": "kubeflow",
    "mlflow": "mlflow",
    "neptune": "neptune",
    "swanlab": "swanlab",
    "tensorboard": "tensorboard",  # or tensorboardX
    "trackio": "trackio",
    "wandb": "wandb",
}
ALONE = ("all", "none")  # values of report_to that go without others

_SEED = {"least": 0, "most": 2**32 - 1}  # what numpy takes
_BETA = {"least": 0, "below": 1}

SHOWN = {
    "num_train_epochs": PassedOn("Epochs.", "3; 5 from 10 billion parameters on", limits={"above": 0}),
    "max_steps": PassedOn("Optimizer steps; wins over the epochs.", "those of the epochs", limits={"least": 1}),
    "learning_rate": PassedOn(
        "The learning rate after warm-up.", "2e-5; 1e-5 from 10 billion parameters on", limits={"above": 0}
    ),
    "lr_scheduler_type": PassedOn("The schedule, as linear or constant.", COMMON["lr_scheduler_type"]),
    "warmup_steps": PassedOn(
        "Steps of warm-up; below 1, a share of all steps.", str(COMMON["warmup_steps"]), limits={"least": 0}
    ),
    "weight_decay": PassedOn("Weight decay.", str(COMMON["weight_decay"]), limits={"least": 0}),
    "max_grad_norm": PassedOn("Gradients are clipped to this norm; 0 clips none.", "1.0", limits={"least": 0}),
    "optim": PassedOn("The optimizer.", COMMON["optim"]),
    "seed": PassedOn("Decides the rows of each step and what the mixture draws.", "42", limits=_SEED),
    "bf16": PassedOn("Compute in bf16 over float32 weights.", "on GPUs that have it", "switch"),
    "activation_checkpointing": PassedOn(
        "Compute activations again in the backward pass: less memory, about a third more time.", "off", "switch"
    ),
    "logging_steps": PassedOn("Steps between two lines of the log.", str(COMMON["logging_steps"]), limits={"above": 0}),
    "report_to": PassedOn(
        "Where the log goes besides log.jsonl: wandb, tensorboard, none, …; several may follow one another.",
        "tensorboard where it is installed",
        (*REPORTERS, *ALONE),
    ),
}

FURTHER = {
    "lr_scheduler_kwargs": PassedOn("Settings of the schedule, as JSON.", "none"),
    "optim_args": PassedOn("Settings of the optimizer, as name=value,name=value.", "none"),
    "adam_beta1": PassedOn("Adam's β₁.", "0.9", limits=_BETA),
    "adam_beta2": PassedOn("Adam's β₂.", "0.999", limits=_BETA),
    "adam_epsilon": PassedOn("Adam's ε.", "1e-8", limits={"above": 0}),
    "data_seed": PassedOn("Decides the rows of each step, in place of --seed.", "that of --seed", limits=_SEED),
    "full_determinism": PassedOn("Take deterministic kernels alone, which are slower.", "off", "switch"),
    "fp16": PassedOn("Compute in fp16, with a scaled loss, in place of bf16.", "off", "switch"),
    "tf32": PassedOn("Multiply float32 matrices in TF32.", "on GPUs that have it", "switch"),
    "use_cpu": PassedOn("Leave the GPU alone.", "on where there is none", "switch"),
    "gradient_checkpointing": PassedOn("The older name of --activation_checkpointing.", "off", "switch"),
    "activation_checkpointing_kwargs": PassedOn("Settings of --activation_checkpointing, as JSON.", "none"),
    "logging_first_step": PassedOn("Log the first step, too, whatever --logging_steps.", "off", "switch"),
    "log_level": PassedOn("How much transformers says: debug, info, warning, error.", "passive"),
    "log_level_replica": PassedOn("The same for processes but the first.", "warning"),
    "run_name": PassedOn("The run's name in Weights & Biases and others.", "none"),
    "project": PassedOn("The project's name there.", "huggingface"),
    "dataloader_num_workers": PassedOn("Processes that lay rows out.", "0", limits={"least": 0}),
    "ddp_backend": PassedOn("How processes talk: nccl, gloo, …", "nccl on GPUs, else gloo"),
    "ddp_timeout": PassedOn("Seconds that a process waits for the others.", "1800", limits={"least": 1}),
}

# beginnings of flags that there aren't → what there is in their place, VALUE being the one that was given
_SHARDING = "several processes shard the model by themselves (FSDP2); see --hsdp_group and --cpu_offload"
_EVERY_WEIGHT = "there are no adapters here, every weight is tuned; to save memory: several GPUs, --cpu_offload"
_PACKING = "rows are laid end to end without padding already; see --tokens_per_micro_batch"
_EVALUATED = "--eval_mixture and --dev evaluate, every --eval_steps; leave it out"
_PRECISION = "half precision is torch's own; --bf16 or --fp16 choose it"
_GONE = "leave it out; transformers has dropped it, and there is nothing that it would change here"
_KERNELS = "attention and loss are computed without padding by kernels of their own; leave it out"
INSTEAD = {
    "lora": _EVERY_WEIGHT,
    "qlora": _EVERY_WEIGHT,
    "peft": _EVERY_WEIGHT,
    "use_peft": _EVERY_WEIGHT,
    "use_lora": _EVERY_WEIGHT,
    "adapter": _EVERY_WEIGHT,
    "load_in": "weights of few bits are for inference; every weight is tuned in float32 or bf16 here",
    "quantiz": "weights of few bits are for inference; every weight is tuned in float32 or bf16 here",
    "deepspeed": _SHARDING,
    "fsdp": _SHARDING,
    "pack": _PACKING,
    "group_by_length": _PACKING,
    "train_sampling_strategy": _PACKING,
    "neat_packing": _PACKING,
    "auto_find_batch_size": _PACKING,
    "attn_implementation": "attention follows from model and machine; see docs/training.md",
    "flash_attn": "attention follows from model and machine; see docs/training.md",
    "dataset": "the MIXTURE says what to train on; see: xllm mixture --help",
    "data_path": "the MIXTURE says what to train on, the second word: xllm train BASE MIXTURE",
    "model_name": "the BASE is the first word: xllm train BASE MIXTURE",
    "tokenizer_name": "the tokenizer is that of the BASE",
    "cache_dir": "the cache of models and data is where the variable HF_HOME says: HF_HOME=VALUE",
    "disable_tqdm": "there is no progress bar, but a line a step; --quiet shows neither",
    "max_seq_length": "the length limit is --model_max_length VALUE",
    "max_length": "the length limit is --model_max_length VALUE",
    "cutoff_len": "the length limit is --model_max_length VALUE",
    "max_source_length": "the length limit is --model_max_length VALUE",
    "learning_rate_schedule": "the schedule is --lr_scheduler_type",
    "lr_scheduler": "the schedule is --lr_scheduler_type VALUE",
    "lr": "the learning rate is --learning_rate VALUE",
    "warmup_ratio": "--warmup_steps below 1 is a share of all steps; type --warmup_steps VALUE",
    "epochs": "the number of epochs is --num_train_epochs VALUE",
    "per_gpu_train_batch_size": "type --per_device_train_batch_size VALUE",
    "per_gpu_eval_batch_size": "rows are evaluated as --tokens_per_micro_batch has them; leave it out",
    "per_device_eval_batch_size": "rows are evaluated as --tokens_per_micro_batch has them; leave it out",
    "batch_size": "the rows of a step are --global_batch_size VALUE",
    "eval_strategy": _EVALUATED,
    "evaluation_strategy": _EVALUATED,
    "evaluate_during_training": _EVALUATED,
    "do_eval": _EVALUATED,
    "do_train": "xllm train trains; leave it out",
    "do_predict": "xllm infer answers, once the model is tuned; leave it out",
    "save_strategy": "--save_steps N saves checkpoints; leave it out",
    "save_total_limit": "a checkpoint takes the place of the one before it; leave it out",
    "save_safetensors": "models are saved as safetensors alone; leave it out",
    "overwrite_output_dir": "a finished model isn't overwritten; remove its folder, or name another: --output_dir",
    "resume_from_checkpoint": "run the same command again to resume from its last checkpoint",
    "ignore_data_skip": "run the same command again to resume from its last checkpoint, rows and all",
    "load_best_model": "the model of the last step is saved, and the log has the scores of --dev; leave it out",
    "metric_for_best_model": "the model of the last step is saved, and the log has the scores of --dev; leave it out",
    "logging_dir": "TensorBoard's log is in runs/ of the model's folder; elsewhere: TENSORBOARD_LOGGING_DIR=VALUE",
    "push_to_hub": "a finished model is uploaded with: hf upload REPO FOLDER",
    "hub_": "a finished model is uploaded with: hf upload REPO FOLDER",
    "no_cuda": "type --use_cpu VALUE",
    "use_mps_device": "an Apple GPU is taken where there is one, unless --use_cpu; leave it out",
    "local_rank": "leave it out; torchrun tells each process: bash script/train.sh BASE MIXTURE",
    "n_gpu": "all GPUs of the machine are taken by: bash script/train.sh BASE MIXTURE; NPROC=VALUE takes so many",
    "xpu_backend": "type --ddp_backend VALUE",
    "half_precision_backend": _PRECISION,
    "fp16_backend": _PRECISION,
    "fp16_opt_level": _PRECISION,
    "fp16_full_eval": _PRECISION,
    "bf16_full_eval": _PRECISION,
    "adafactor": "type --optim adafactor",
    "sharded_ddp": _SHARDING,
    "gradient_checkpointing_kwargs": "type --activation_checkpointing_kwargs VALUE",
    "torchdynamo": _GONE,
    "tpu_": _GONE,
    "past_index": _GONE,
    "use_legacy_prediction_loop": _GONE,
    "jit_mode_eval": _GONE,
    "use_ipex": _GONE,
    "mp_parameters": _GONE,
    "ray_scope": _GONE,
    "include_inputs_for_metrics": _GONE,
    "optim_target_modules": _EVERY_WEIGHT,
    "average_tokens_across_devices": "the loss is the mean over the target tokens of a step, on however many processes",
    "label_smoothing_factor": "the loss is the cross-entropy of the targets, as the recipe has it; leave it out",
    "label_names": "targets follow from the METHOD; leave it out",
    "length_column_name": _PACKING,
    "remove_unused_columns": "rows have no columns but those that are used; leave it out",
    "neftune_noise_alpha": "noise on embeddings would go by micro-batches, which are a matter of speed alone here",
    "torch_compile": _KERNELS,
    "use_liger_kernel": _KERNELS,
    "liger_kernel_config": _KERNELS,
    "torch_empty_cache_steps": "memory follows from --tokens_per_micro_batch; set that lower",
    "use_cache": "the cache is for answers; training has none, and the saved model uses it",
    "logging_strategy": "the log goes by steps: --logging_steps N; leave it out",
    "debug": "a value that isn't finite ends the run, and its rows are named; leave it out",
    "log_on_each_node": "one log is written, by the first process; leave it out",
    "logging_nan_inf_filter": "a loss that isn't finite ends the run, and its rows are named; leave it out",
    "include_num_input_tokens_seen": "each line of the log has tokens a second; run.json has the tokens of the mixture",
    "trackio_": "trackio takes the project of --project, and its other settings from its own variables",
    "eval_delay": _EVALUATED,
    "eval_on_start": "--eval_mixture evaluates while training; for the base itself: xllm perplexity BASE MIXTURE",
    "eval_do_concat_batches": _EVALUATED,
    "eval_use_gather_object": _EVALUATED,
    "eval_accumulation_steps": _EVALUATED,
    "prediction_loss_only": _EVALUATED,
    "include_for_metrics": _EVALUATED,
    "batch_eval_metrics": _EVALUATED,
    "greater_is_better": "the model of the last step is saved, and the log has the scores of --dev; leave it out",
    "save_only_model": "a checkpoint has all that a resumed run needs; leave it out",
    "save_on_each_node": "a model is written once, by the first process; leave it out",
    "enable_jit_checkpoint": "--save_steps N saves checkpoints; leave it out",
    "restore_callback_states_from_checkpoint": "run the same command again to resume from its last checkpoint",
    "accelerator_config": _SHARDING,
    "parallelism_config": _SHARDING,
    "dataloader_drop_last": "every row is trained on; the last step of an epoch has fewer. Leave it out",
    "dataloader_": "of the loader, --dataloader_num_workers N alone can be set; rows lie in memory",
    "ddp_": _SHARDING,
    "skip_memory_metrics": "what a run takes is told by: xllm plan BASE MIXTURE",
}


def entries(table: dict[str, PassedOn]) -> list[tuple[str, str]]:
    """The flags of a table as help shows them."""
    return [
        (f"--{name}" + ("" if own.kind == "switch" else f" {name.rpartition('_')[2].upper()}"), _told(own))
        for name, own in table.items()
    ]


def _told(own: PassedOn) -> str:
    return f"{own.help} Default: {own.default}."


def instead(name: str, value: str) -> str | None:
    """What there is in place of a flag that there isn't."""
    starts = [start for start in INSTEAD if name.startswith(start)]
    return INSTEAD[max(starts, key=len)].replace("VALUE", value or "N").strip() if starts else None


def report_to(text: str) -> list[str]:
    """Where the log goes, as `--report_to` names it. Raises XllmError for what isn't installed, or can't go with
    others."""
    found = text.split()
    for name in found:
        if name in ALONE and len(found) > 1:
            raise XllmError(f"--report_to {text}: {name} goes alone")
        module = REPORTERS.get(name)
        if module is not None and find_spec(module) is None and find_spec(f"{module}X") is None:
            raise XllmError(
                f"the Trainer refuses these flags: --report_to {name} needs {module}, which isn't installed: "
                f"pip install {package_of(module)}"
            )
    return found


def unused(name: str) -> str | None:
    """Why a flag isn't there that transformers has."""
    from transformers import TrainingArguments

    if name in {own.name for own in fields(TrainingArguments)}:
        return "transformers has this flag, but it has no effect here; see: xllm train --help_all"
    return None
