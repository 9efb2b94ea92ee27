"""Which flags of transformers.TrainingArguments `train` takes: each does something, or is refused with its reason."""

from dataclasses import fields

import pytest

from xllm.cli import options
from xllm.errors import XllmError
from xllm.training import recipe
from xllm.training.flags import TrainFlags


def test_every_other_flag_of_the_library_is_answered():
    """Those that a later release adds are refused, and missed here, until it is known what they do."""
    from transformers import TrainingArguments

    ours = (recipe.SHOWN | recipe.FURTHER).keys() | {own.name for own in options(TrainFlags)}
    left = [own.name for own in fields(TrainingArguments) if own.init and own.name not in ours]
    assert len(left) > 50 and not [name for name in left if recipe.instead(name, "") is None]


REFUSED = [  # numbers that can't be, flags without effect beside others, and optimizers that aren't here
    (["--num_train_epochs", "0"], "--num_train_epochs 0: it must be a number above 0"),
    (["--num_train_epochs", "-1"], "it must be a number above 0"),
    (["--num_train_epochs", "nan"], "it must be a number above 0"),
    (["--max_steps", "0"], "--max_steps 0: it must be a whole number, 1 or more"),
    (["--learning_rate", "inf"], "it must be a number above 0"),
    (["--weight_decay", "-1"], "it must be a number, 0 or more"),
    (["--seed", "-1"], "it must be a whole number"),
    (["--seed", str(2**64)], "it must be a whole number"),
    (["--adam_beta1", "1"], "below 1"),
    (["--logging_steps", "0"], "above 0"),
    (["--warmup_steps", "1.5"], "it must be a whole number, or a share below 1"),
    (["--optim", "sgd", "--adam_beta1", "0.8"], "--adam_beta1 0.8 has no effect with --optim sgd"),
    (["--optim_args", "momentum=0.9"], "--optim_args momentum=0.9 has no effect with --optim"),
    (["--optim", "sgd", "--optim_args", "speed=9"], "must be one of momentum=…"),
    (["--lr_scheduler_type", "constant", "--warmup_steps", "1"], "has no effect with --lr_scheduler_type constant"),
    (["--lr_scheduler_type", "reduce_lr_on_plateau"], "goes by evaluations of the Trainer"),
    (["--activation_checkpointing_kwargs", "{}"], "has no effect without --activation_checkpointing"),
    (["--activation_checkpointing", "--activation_checkpointing_kwargs", '{"context_fn": 3}'], "it must be JSON, with"),
    (["--optim", "paged_adamw_8bit"], "needs bitsandbytes, which isn't installed: pip install bitsandbytes"),
    (["--optim", "galore_adamw"], "is of galore_torch, which isn't supported here; take one of adamw_torch_fused"),
    (["--optim", "schedule_free_adamw"], "isn't supported here"),
    (["--optim", "adamw_torch_8bit"], "is of torchao, which isn't supported here"),
    (["--label_smoothing_factor", "0.1"], "the loss is the cross-entropy of the targets"),
    (["--dataloader_drop_last"], "every row is trained on"),
    (["--train_sampling_strategy", "group_by_length"], "rows are laid end to end without padding already"),
    (["--load_best_model_at_end"], "leave it out"),
    (["--use_liger_kernel"], "leave it out"),
    (["--torch_compile"], "leave it out"),
    (["--eval_on_start"], "xllm perplexity BASE MIXTURE"),
    (["--debug", "underflow_overflow"], "leave it out"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_a_flag_does_something_or_is_refused(cli, sample, llama, tmp_path, words, message):
    outcome = cli("train", llama, "alpaca_en[:4]", "--output_dir", tmp_path / "new", *words)
    assert outcome.code == 2 and message in outcome.err and "Traceback" not in outcome.err, outcome.err
    assert len(outcome.err.splitlines()) == 1 and not (tmp_path / "new").exists()


def test_every_optimizer_of_the_library_works_or_is_told():
    from transformers.training_args import OptimizerNames

    from xllm.training import optimizers

    def told(name: str) -> str:
        try:
            optimizers.check(name)
        except XllmError as error:
            return str(error)
        return ""

    found = {name.value: told(name.value) for name in OptimizerNames}
    assert {name for name, error in found.items() if not error} == set(optimizers.OWN)
    assert all("pip install" in error or "isn't supported here" in error for error in found.values() if error)
