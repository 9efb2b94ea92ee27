"""The reference's hyper-parameters (x-LLM, script/train.sh), as defaults that any flag overrides."""

from xllm.errors import XllmError

BATCH = 128  # rows an optimizer step, over all GPUs

COMMON = {
    "per_device_train_batch_size": 4,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.03,  # below 1: a share of all steps
    "weight_decay": 0.0,
    "optim": "adamw_torch",
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "remove_unused_columns": False,  # our rows have no other
}

# parameters of the base model, from this many on → what differs; LLaMA-13B is the first of the large ones
BY_SIZE = (
    (10e9, {"num_train_epochs": 5.0, "learning_rate": 1e-5}),
    (0, {"num_train_epochs": 3.0, "learning_rate": 2e-5}),
)

# sharded over the GPUs of the machine; the weights stay float32, the computation is bf16
FSDP = {
    "fsdp": True,
    "fsdp_config": {"version": 2, "reshard_after_forward": True, "state_dict_type": "FULL_STATE_DICT"},
}


def defaults(parameters: int) -> dict:
    """TrainingArguments for a base model of that many parameters."""
    return COMMON | next(settings for least, settings in BY_SIZE if parameters >= least)


def machine(processes: int) -> dict:
    """bf16 and tf32 where there are GPUs that have them, and FSDP over several; float32 on a CPU."""
    import torch

    if not torch.cuda.is_available():
        # unless told that it is to use the CPU, accelerate doesn't notice that there are several processes
        return {"dataloader_pin_memory": False, "use_cpu": not torch.backends.mps.is_available()}
    settings = {
        "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
        "tf32": torch.cuda.get_device_capability() >= (8, 0),
    }
    return settings | FSDP if processes > 1 else settings


def accumulation(batch: int | None, steps: int | None, rows: int, processes: int) -> int:
    """Gradient accumulation steps that make `batch` rows a step out of `rows` on each of `processes`.

    Raises XllmError where the numbers don't fit; `steps` is what the user asked for, if anything.
    """
    for flag, value in (("per_device_train_batch_size", rows), ("global_batch_size", batch)):
        if value is not None and value < 1:
            raise XllmError(f"--{flag} {value}: it must be 1 or more")
    if steps is not None:
        if batch not in (None, steps * rows * processes):
            raise XllmError(
                f"--global_batch_size {batch} isn't --per_device_train_batch_size {rows} × "
                f"--gradient_accumulation_steps {steps} × {processes} processes; leave one of them out"
            )
        return steps
    batch = batch or BATCH
    if batch % (rows * processes):
        near = max(1, round(batch / (rows * processes))) * rows * processes
        raise XllmError(
            f"{batch} rows a step can't be shared by {processes} processes with --per_device_train_batch_size {rows}: "
            f"it must be a multiple of {rows * processes}; try --global_batch_size {near}"
        )
    return batch // (rows * processes)
