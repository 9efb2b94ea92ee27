"""The reference's hyper-parameters (x-LLM, script/train.sh), as defaults that any flag overrides."""

from importlib.util import find_spec

from xllm.errors import XllmError

BATCH = 128  # rows an optimizer step, over all GPUs

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
