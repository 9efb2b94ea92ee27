"""The command lines of train and plan."""

from dataclasses import dataclass
from typing import ClassVar

from xllm.cli import Flags, flag, switch, word
from xllm.mixture import flags as of_mixture
from xllm.templates import TEMPLATES
from xllm.training import recipe

CONTINUE, FINETUNE = "continue", "finetune"
METHODS = (FINETUNE, CONTINUE)
STEP, REFERENCE = "step", "reference"  # what the loss is averaged over
EVALUATED = ("eval_mixture", "dev")
BASE = "The model to start from: a folder under model/, a path, or a hub id."
MIXTURE = "What to train on, as alpaca_en+alpaca_zh[:1000]."


@dataclass(frozen=True)
class TrainFlags(Flags):
    base: str = word(BASE)
    mixture: str = word(MIXTURE)
    method: str = word(
        "finetune: instruction tuning, the loss on responses alone. continue: plain text, the loss on every token.",
        choices=METHODS,
        default=FINETUNE,
    )
    name: str | None = flag("The new model's name under model/.", shown="BASE.MIXTURE.METHOD")
    output_dir: str | None = flag("The new model's folder, in place of model/NAME.", metavar="FOLDER")
    data_dir: str | None = of_mixture.data_dir()
    template: str | None = flag("The prompt.", choices=sorted(TEMPLATES), shown="alpaca; text with the METHOD continue")
    text_field: str | None = of_mixture.text_field()
    special_tokens_in_data: bool = of_mixture.special_tokens_in_data()
    model_max_length: int = of_mixture.model_max_length()
    global_batch_size: int | None = flag(
        "Rows of an optimizer step, over all processes.", least=1, shown=str(recipe.BATCH)
    )
    per_device_train_batch_size: int | None = flag(
        "With --gradient_accumulation_steps, as other recipes give the rows of a step: their product with the number "
        "of processes is --global_batch_size. With --loss_average reference also alone.",
        least=1,
    )
    gradient_accumulation_steps: int | None = flag("See --per_device_train_batch_size.", least=1)
    loss_average: str = flag(
        "step: the mean over the target tokens of a step. reference: the mean of the means of micro-batches of "
        f"--per_device_train_batch_size rows ({recipe.PER_DEVICE} where it isn't given), as in transformers 4.29, so "
        "that a token counts more where its micro-batch has fewer.",
        STEP,
        choices=(STEP, REFERENCE),
    )
    tokens_per_micro_batch: int | None = flag(
        "Tokens that go through the model at a time; changes speed and memory alone.",
        least=1,
        shown="as many as fit into memory",
    )
    hsdp_group: int | None = flag(
        "Processes that share one copy of the model; groups hold copies of one another.", least=1, shown="all"
    )
    cpu_offload: bool = switch("Keep weights, gradients and optimizer of a sharded model in CPU memory.")
    mix_rows: int | None = of_mixture.mix_rows()
    mix_temperature: float = of_mixture.mix_temperature()
    filter_parallel: bool = of_mixture.filter_parallel()
    drop_contaminated: str | None = of_mixture.drop_contaminated()
    max_lost: str | None = flag(
        "Refuse a mixture of which a dataset loses a larger share of its target tokens to the length limit, as 2%.",
        metavar="PERCENT",
    )
    eval_mixture: str | None = flag(
        "Held-out rows; their loss is logged every --eval_steps and at the end.", metavar="MIXTURE"
    )
    dev: str | None = flag(
        "Questions that are answered greedily and scored at the same steps, as translation_flores_en-zh[:50].",
        metavar="MIXTURE",
    )
    eval_split: str = flag("The split of --eval_mixture and --dev.", "validation", needs=EVALUATED)
    eval_steps: int | None = flag(
        "Steps between two evaluations.", least=1, shown="one evaluation, at the end", needs=EVALUATED
    )
    save_steps: int | None = flag(
        "Steps between two checkpoints, from which the same command resumes.", least=1, shown="no checkpoints"
    )
    num_proc: int = of_mixture.num_proc()
    lock: str | None = flag("Refuse a mixture other than that of this lockfile.", metavar="FILE")
    prepare_only: bool = switch("Check everything and tokenize into the cache, then stop.")

    passed_on: ClassVar[dict[str, str | tuple[str, ...]]] = {
        name: own.kind for name, own in (recipe.SHOWN | recipe.FURTHER).items()
    }

    @classmethod
    def instead_of(cls, name: str, value: str = "") -> str | None:
        return recipe.instead(name, value) or recipe.unused(name)

    @classmethod
    def more(cls, everything: bool) -> list[tuple[str, list[tuple[str, str]]]]:
        """The recipe's flags, which are those of transformers' TrainingArguments, and with `everything` the others of
        them that do something here."""
        found = [("the recipe (flags of transformers.TrainingArguments)", recipe.entries(recipe.SHOWN))]
        if everything:
            return [*found, ("further flags of transformers.TrainingArguments", recipe.entries(recipe.FURTHER))]
        return [*found, ("more", [("--help_all", "Show the further flags of TrainingArguments, too.")])]


@dataclass(frozen=True)
class PlanFlags(Flags):
    base: str = word(BASE)
    mixture: str = word(MIXTURE)
    gpus: int = flag("GPUs that share the model, in bf16 over float32 weights.", 8, least=1)
    gpu_memory: float = flag("Memory of each GPU, in GiB.", 80.0, above=0, metavar="GIB")
    gpu_tflops: float = flag(
        "Peak of each GPU in bf16, in TFLOP/s; 312 is an A100's.", 312.0, above=0, metavar="TFLOPS"
    )
    mfu: float = flag("Share of the peak that is reached.", 0.4, above=0, most=1)
    tokens_per_micro_batch: int = flag("Tokens that go through the model at a time.", 4096, least=1)
    global_batch_size: int = flag("Rows of an optimizer step, over all GPUs.", recipe.BATCH, least=1)
    num_train_epochs: float | None = flag("Epochs.", above=0, shown=recipe.SHOWN["num_train_epochs"].default)
    model_max_length: int = of_mixture.model_max_length()
    template: str = of_mixture.template()
    text_field: str | None = of_mixture.text_field()
    special_tokens_in_data: bool = of_mixture.special_tokens_in_data()
    json: str | None = flag("Write the same as JSON.", metavar="FILE")
    data_dir: str | None = of_mixture.data_dir()
