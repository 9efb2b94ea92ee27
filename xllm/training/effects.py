"""Which values the flags of transformers.TrainingArguments take here, and which of them have an effect beside which
others. Those that have none at all are in `xllm.training.recipe.INSTEAD`.
"""

from collections.abc import Iterator
from dataclasses import fields
from inspect import signature

from torch.utils.checkpoint import checkpoint
from transformers import SchedulerType, TrainingArguments

from xllm.cli import allowed, within
from xllm.errors import XllmError
from xllm.training import optimizers, recipe

# schedules without warm-up, and those that take no settings of their own
UNWARMED = (SchedulerType.CONSTANT,)
UNSETTLED = (SchedulerType.CONSTANT, SchedulerType.CONSTANT_WITH_WARMUP)
EVALUATING = (SchedulerType.REDUCE_ON_PLATEAU, SchedulerType.GREEDY)  # they follow the Trainer's own evaluations

NAMED_RUNS = {"wandb", "mlflow", "comet_ml", "swanlab", "trackio"}  # where the log goes under the run's name
PROJECTS = {"trackio"}


def check_numbers(given: dict[str, str]) -> None:
    """Raise XllmError where a flag's text is a number that can't be. What isn't a number is left to transformers."""
    types = {own.name: str(own.type) for own in fields(TrainingArguments)}
    for name, text in given.items():
        limits = (recipe.SHOWN | recipe.FURTHER)[name].limits
        try:
            value = float(text)
        except ValueError:
            continue
        if limits is not None and not within(value, limits):
            raise XllmError(f"--{name} {text}: it must be {allowed(int if 'int' in types[name] else float, limits)}")


def check_schedule(name: str | None) -> None:
    """Raise XllmError for a schedule that can't be here; transformers would say what it lacks in other words."""
    if name in {own.value for own in EVALUATING}:
        raise XllmError(
            f"--lr_scheduler_type {name} goes by evaluations of the Trainer, which doesn't evaluate here; "
            "take one that goes by steps, as cosine, linear or constant_with_warmup"
        )


def check(given: dict[str, str], training: TrainingArguments, processes: int) -> None:
    """Raise XllmError where one of the flags that were `given`, as texts, can't be, or has no effect beside the others.
    `training` is what they come to."""
    if training.warmup_steps > 1 and training.warmup_steps % 1:
        raise XllmError(f"--warmup_steps {training.warmup_steps}: it must be a whole number, or a share below 1")
    optim = training.optim.value
    optimizers.check(optim)
    beside = [*_beside_schedule(training), *_beside_optimizer(optim), *_beside_log(training, processes)]
    if not training.activation_checkpointing:
        beside.append(("activation_checkpointing_kwargs", "without --activation_checkpointing"))
    for name, others in beside:
        if name in given:
            raise XllmError(f"--{name} {given[name]} has no effect {others}")
    _check_checkpointing(training)
    _check_optim_args(training)


def _beside_schedule(training: TrainingArguments) -> Iterator[tuple[str, str]]:
    """Flags that have no effect, and beside which."""
    schedule = training.lr_scheduler_type
    if schedule in UNWARMED and training.warmup_steps:  # that there is none can be said
        yield "warmup_steps", f"with --lr_scheduler_type {schedule.value}"
    if schedule in UNSETTLED:
        yield "lr_scheduler_kwargs", f"with --lr_scheduler_type {schedule.value}"


def _beside_optimizer(optim: str) -> Iterator[tuple[str, str]]:
    if not optimizers.has_betas(optim):
        yield from ((name, f"with --optim {optim}") for name in ("adam_beta1", "adam_beta2"))
    if not optimizers.has_epsilon(optim):
        yield "adam_epsilon", f"with --optim {optim}"
    if optim not in optimizers.ARGUMENTS:
        yield "optim_args", f"with --optim {optim}"


def _beside_log(training: TrainingArguments, processes: int) -> Iterator[tuple[str, str]]:
    if training.logging_steps == 1:
        yield "logging_first_step", "with --logging_steps 1"
    for name, places in (("run_name", NAMED_RUNS), ("project", PROJECTS)):
        if not places & set(training.report_to):
            yield name, f"without --report_to {', '.join(sorted(places))}"
    if processes == 1:
        yield "log_level_replica", "with one process"


def _check_checkpointing(training: TrainingArguments) -> None:
    """What isn't known would be a TypeError in the first step."""
    settings = training.activation_checkpointing_kwargs
    if settings is None:
        return
    known = ["every_n_layers", "offload"]  # of transformers
    known += [own.name for own in signature(checkpoint).parameters.values() if own.kind is own.KEYWORD_ONLY]
    known.remove("context_fn")  # no text can be a function
    if not isinstance(settings, dict) or not settings.keys() <= set(known):
        raise XllmError(
            f"--activation_checkpointing_kwargs {settings}: it must be JSON, with some of {', '.join(known)}"
        )


def _check_optim_args(training: TrainingArguments) -> None:
    """transformers leaves out what an optimizer doesn't take, without a word."""
    known = optimizers.ARGUMENTS.get(training.optim.value, ())
    for part in (training.optim_args or "").replace(" ", "").split(","):
        name, equals, _ = part.partition("=")
        if training.optim_args and (not equals or name not in known):
            raise XllmError(
                f"--optim_args {training.optim_args}: {part!r} must be one of {', '.join(f'{key}=…' for key in known)}"
            )


def check_warmup(given: dict[str, str], training: TrainingArguments, rows: int, rows_a_step: int) -> None:
    """Raise XllmError where a run of so many rows an epoch would end within its warm-up."""
    steps = training.max_steps
    if steps < 0:
        steps = -int(-(-(-rows // rows_a_step) * training.num_train_epochs) // 1)
    if "warmup_steps" in given and training.warmup_steps > steps:
        raise XllmError(f"--warmup_steps {given['warmup_steps']}: the run has {steps} steps")
