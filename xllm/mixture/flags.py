"""The command lines of mixture and preview, and what commands that read mixtures have in common."""

from dataclasses import dataclass
from typing import Any

from xllm.cli import Flags, flag, switch, word
from xllm.templates import TEMPLATES, TEXT_FIELDS

DATA_DIR = "The data root."
DATA_DIR_SHOWN = "$XLLM_DATA_DIR, else data/"


def data_dir() -> Any:
    return flag(DATA_DIR, metavar="FOLDER", shown=DATA_DIR_SHOWN)


def template(*needs: str) -> Any:
    return flag("The prompt.", "alpaca", choices=sorted(TEMPLATES), needs=needs)


def text_field(*needs: str) -> Any:
    return flag(
        "The field of a record that is its plain text, with the template text.",
        choices=TEXT_FIELDS,
        shown="all of the record",
        needs=needs,
    )


def special_tokens_in_data(*needs: str) -> Any:
    return switch("Take control tokens in data, as </s>, for what they are, not for text.", needs)


def model_max_length(*needs: str) -> Any:
    return flag("Tokens of a row; longer rows lose their end.", 512, least=1, needs=needs)


def num_proc(*needs: str) -> Any:
    return flag("Processes that tokenize.", 1, least=1, needs=needs)


def mix_rows() -> Any:
    return flag("Rows of the mixture in all.", least=1, shown="as many as its terms have")


def mix_temperature() -> Any:
    return flag("T: a dataset of n rows gets a share of n^(1/T).", 1.0, above=0)


def filter_parallel() -> Any:
    return switch("Leave out parallel pairs that are copies, of odd lengths, or in another language.")


def drop_contaminated() -> Any:
    return flag("Leave out rows that overlap with these test sets, as xquad_zh,mlqa_zh.", metavar="SETS")


@dataclass(frozen=True)
class MixtureFlags(Flags):
    mixture: str | None = word(
        "Datasets joined by +, as alpaca_en+alpaca_zh[:1000]*2. Without it, datasets and aliases are listed.",
        default=None,
    )
    model: str | None = flag("Count target tokens too, by the tokenizer of this model.")
    model_max_length: int = model_max_length("model")
    template: str = template("model")
    text_field: str | None = text_field("model")
    special_tokens_in_data: bool = special_tokens_in_data("model")
    split: str = flag("The split.", "train")
    duplicates: bool = switch("Count rows that a dataset has more than once, and rows that several datasets share.")
    parallel: bool = switch("Count the flaws of parallel text.")
    against: str | None = flag("List rows that overlap with these test sets, as xquad_zh,mlqa_zh.", metavar="SETS")
    lock: str | None = flag("Write what determines the mixture, for train --lock.", metavar="FILE")
    json: str | None = flag("Write the table as JSON.", metavar="FILE")
    mix_rows: int | None = mix_rows()
    mix_temperature: float = mix_temperature()
    filter_parallel: bool = filter_parallel()
    drop_contaminated: str | None = drop_contaminated()
    seed: int = flag("What a draw depends on.", 42, least=0)
    num_proc: int = num_proc("model")
    data_dir: str | None = data_dir()


@dataclass(frozen=True)
class PreviewFlags(Flags):
    mixture: str = word("Datasets joined by +.")
    model: str = flag("The model whose tokenizer is used.", required=True)
    n: int = flag("How many rows to show, spread over the mixture.", 3, least=1)
    split: str = flag("The split.", "train")
    template: str = template()
    text_field: str | None = text_field()
    special_tokens_in_data: bool = special_tokens_in_data()
    model_max_length: int = model_max_length()
    html: str | None = flag("Write the same as a page.", metavar="FILE")
    data_dir: str | None = data_dir()
