"""The command lines of infer and perplexity."""

from dataclasses import dataclass

from xllm.cli import Flags, flag, switch, word
from xllm.evaluation import flags as of_answers
from xllm.mixture import flags as of_mixture
from xllm.templates import CHAT, TEMPLATES

ENGINES = ("hf", "vllm")
CONSTRAIN, SCORE, FREE = "constrain", "score", "free"
LABELS = (CONSTRAIN, SCORE, FREE)
# what the reference's inference.py takes → what there is in its place, VALUE being the one that was given
INSTEAD = {
    "data_path": "the DATASET is the second word: xllm infer MODEL DATASET",
    "model_name_or_path": "the MODEL is the first word: xllm infer MODEL DATASET",
    "output_file": "answers are in test/ of the model's folder, not in VALUE",
    "transcot_skip_example": "leave it out; the examples of an exam are never translated",
    "perplexity": "rows with labels are answered by the likeliest one: --labels score",
    "generate": "answers are written with --labels free, those that are labels with --labels constrain",
}
MODEL = "A folder under model/, a path, or a hub id."
TEMPLATE = "that of the model's tuning, else alpaca"


@dataclass(frozen=True)
class InferFlags(Flags):
    model: str = word(MODEL)
    dataset: str = word("What to answer, as xquad_zh[:100]; several are joined by +.")
    batch_size: int | None = flag("Prompts answered at a time, at most.", least=1, shown="as many as fit into memory")
    max_new_tokens: int = flag("The longest answer, in tokens.", 512, least=1)
    num_beams: int = flag("Beams; 1 is greedy.", 1, least=1)
    do_sample: bool = switch("Draw each token instead of taking the likeliest.")
    temperature: float | None = flag("With --do_sample.", least=0.01, shown="1.0", needs=("do_sample",))
    top_p: float | None = flag(
        "With --do_sample: draw from this share of probability.", above=0, most=1, shown="1.0", needs=("do_sample",)
    )
    top_k: int | None = flag(
        "With --do_sample: draw from this many tokens.", least=1, shown="all", needs=("do_sample",)
    )
    seed: int = flag("With --do_sample.", 42, least=0, below=2**32, needs=("do_sample",))
    template: str | None = flag(
        "The prompt; chat is the model's own chat template.", choices=(*sorted(TEMPLATES), CHAT), shown=TEMPLATE
    )
    special_tokens_in_data: bool = of_mixture.special_tokens_in_data()
    labels: str | tuple[str, ...] | None = flag(
        "constrain: write nothing but a label of the row. score: take its likeliest label. free: write anything. Or "
        "two labels or more, of rows that have none: they are scored.",
        choices=LABELS,
        many=True,
        shown="score where rows have labels, else free",
    )
    task: str | None = of_answers.task("the loading script")
    lang: str | None = of_answers.language("the loading script")
    transcot: bool = switch("Let the model translate the input to English first, line by line.")
    engine: str = flag("What computes the answers.", "hf", choices=ENGINES)
    load_in_8bit: bool = switch("Weights of 8 bits (bitsandbytes, on a GPU).")
    load_in_4bit: bool = switch("Weights of 4 bits (bitsandbytes, on a GPU).")
    split: str = flag("The split of the dataset.", "test")
    limit: int | None = flag("Answer the first rows alone: --limit 100 is DATASET[:100].", least=1, shown="all rows")
    data_dir: str | None = of_mixture.data_dir()
    evaluate: bool = switch("Score the answers at the end.")
    overwrite: bool = switch("Answer again where there are answers already.")
    prepare_only: bool = switch("Check everything, then stop.")

    @classmethod
    def instead_of(cls, name: str, value: str = "") -> str | None:
        return INSTEAD[name].replace("VALUE", value) if name in INSTEAD else None


@dataclass(frozen=True)
class PerplexityFlags(Flags):
    model: str = word(MODEL)
    dataset: str = word("The dataset whose outputs are scored, as xquad_zh[:100].")
    template: str | None = flag(
        "The prompt; chat is the model's own chat template; with text all of a record is scored.",
        choices=(*sorted(TEMPLATES), CHAT),
        shown=TEMPLATE,
    )
    text_field: str | None = of_mixture.text_field()
    special_tokens_in_data: bool = of_mixture.special_tokens_in_data()
    split: str = flag("The split of the dataset.", "test")
    data_dir: str | None = of_mixture.data_dir()
    json: str | None = flag("Write the same as JSON.", metavar="FILE")
