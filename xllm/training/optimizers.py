"""Which optimizers there are, and a trial of the one that was chosen before anything is prepared.

Checkpoints must hold an optimizer to the bit, and a step must be one call of it. Of those that transformers knows,
these are torch's own, Adafactor, and those of bitsandbytes.
"""

from copy import copy
from importlib.util import find_spec
from tempfile import TemporaryDirectory

import torch
from transformers import Trainer, TrainingArguments

from xllm.errors import XllmError

OWN = ("adamw_torch_fused", "adamw_torch", "adafactor", "sgd", "adagrad", "rmsprop")

# beginnings of the others' names → what they are a part of, and whether they work here once that is installed
ELSEWHERE = {
    "adamw_8bit": ("bitsandbytes", True),
    "adamw_bnb_": ("bitsandbytes", True),
    "ademamix": ("bitsandbytes", True),
    "lion_": ("bitsandbytes", True),
    "paged_": ("bitsandbytes", True),
    "rmsprop_bnb": ("bitsandbytes", True),
    "adamw_anyprecision": ("torchdistx", False),
    "adamw_torch_4bit": ("torchao", False),
    "adamw_torch_8bit": ("torchao", False),
    "adamw_torch_npu": ("torch_npu", False),
    "adamw_torch_xla": ("torch_xla", False),
    "adalomo": ("lomo_optim", False),
    "lomo": ("lomo_optim", False),
    "apollo_": ("apollo_torch", False),
    "galore_": ("galore_torch", False),
    "grokadamw": ("grokadamw", False),
    "schedule_free_": ("schedulefree", False),
    "stable_adamw": ("torch-optimi", False),
}

# the settings that --optim_args gives an optimizer; weight decay goes by its own flag
ARGUMENTS = {
    "sgd": ("momentum", "dampening", "nesterov"),
    "adagrad": ("lr_decay", "eps"),
    "rmsprop": ("momentum", "alpha", "eps", "centered"),
}


def has_betas(name: str) -> bool:
    """Whether an optimizer takes --adam_beta1 and --adam_beta2."""
    return "adamw" in name or "ademamix" in name or "lion" in name


def has_epsilon(name: str) -> bool:
    """Whether an optimizer takes --adam_epsilon."""
    return has_betas(name) and "lion" not in name


def check(name: str) -> None:
    """Raise XllmError for an optimizer that isn't there, or can't be used here."""
    if name in OWN:
        return
    starts = [start for start in ELSEWHERE if name.startswith(start)]
    package, usable = ELSEWHERE[max(starts, key=len)] if starts else ("another package", False)
    if not usable:
        raise XllmError(f"--optim {name} is of {package}, which isn't supported here; take one of {', '.join(OWN)}")
    if find_spec(package) is None:
        raise XllmError(f"--optim {name} needs {package}, which isn't installed: pip install {package}")


def rehearse(training: TrainingArguments) -> None:
    """Make the Trainer, its optimizer and its schedule with a handful of weights, and do three steps. Raises XllmError
    where that can't be. Of several processes none does it: each would need the others."""
    if training.world_size > 1:
        return
    with TemporaryDirectory() as folder:
        args = copy(training)
        args.output_dir, args.report_to = folder, []
        try:
            weights = torch.nn.Linear(4, 4).to(args.device)
            trainer = Trainer(model=weights, args=args)
            trainer.create_optimizer_and_scheduler(num_training_steps=10)
            for _ in range(3):
                weights(torch.ones(2, 4, device=args.device)).sum().backward()
                trainer.optimizer.step()
                trainer.lr_scheduler.step()
        except Exception as error:  # whatever an optimizer or a schedule raises for settings that it can't have
            reason = " ".join(str(error).split())[:300]
            chosen = f"--optim {args.optim.value}, --lr_scheduler_type {args.lr_scheduler_type.value}"
            raise XllmError(f"the Trainer refuses these flags ({chosen}): {reason}") from error
