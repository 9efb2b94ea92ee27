"""What answers prompts, whatever computes it, and how an answer is chosen."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast

from xllm.errors import XllmError
from xllm.inference.constrained import Trie

COLDEST = 0.01  # temperature; below, logits overflow, which ends a GPU's process


@dataclass(frozen=True)
class Decoding:
    """How an answer is chosen, in the words of `transformers.GenerationConfig`; greedy as it stands."""

    max_new_tokens: int = 512
    num_beams: int = 1
    do_sample: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None

    def __post_init__(self) -> None:
        """Raise XllmError for values out of range, and for those that would have no effect."""
        for name in ("max_new_tokens", "num_beams", "top_k"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise XllmError(f"--{name} {value}: it must be 1 or more")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise XllmError(f"--top_p {self.top_p}: it must be above 0, and 1 at most")
        if self.temperature is not None and not COLDEST <= self.temperature < math.inf:
            raise XllmError(
                f"--temperature {self.temperature}: it must be {COLDEST} or more (greedy is without --do_sample)"
            )
        sampling = [name for name in ("temperature", "top_p", "top_k") if getattr(self, name) is not None]
        if sampling and not self.do_sample:
            raise XllmError(f"--{sampling[0]} has no effect without --do_sample")


def device_and_dtype() -> tuple[str, torch.dtype]:
    """Where to run and how precisely: bf16 on a GPU that has it, as in the reference, float32 on a CPU."""
    if torch.cuda.is_available():
        return "cuda", torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if torch.backends.mps.is_available():
        return "mps", torch.float16
    return "cpu", torch.float32


class Engine(Protocol):
    """A model that answers prompts."""

    tokenizer: PreTrainedTokenizerFast
    window: int | None  # tokens of a prompt and its answer, at most
    vocabulary: int  # tokens that the model has embeddings for
    eos_token_ids: list[int]  # each of them ends an answer
    rows: int  # prompts answered at a time, unless told otherwise

    @property
    def tokens(self) -> int:
        """How many tokens a batch may hold."""

    def generate(
        self,
        prompts: list[list[int]],
        decoding: Decoding,
        seeds: Sequence[int],
        tries: Sequence[Trie] | None = None,
    ) -> Iterator[tuple[int, list[int]]]:
        """The number of each prompt and the token ids of its answer, up to and with what ends it.

        What is drawn for a prompt depends on its seed; an answer says nothing but what its trie has, if there are
        `tries`. Raises XllmError for a prompt that fills the window.
        """


def text_of(ids: list[int], engine: Engine) -> str:
    """The text of answer tokens, up to the first that ends an answer."""
    own = ids[: answer_length(ids, engine.eos_token_ids)]
    text = engine.tokenizer.decode(own, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)  # a list of texts where ids are several rows
    return text.strip()


def answer_length(ids: list[int], eos_token_ids: list[int]) -> int:
    """How many tokens come before the first that ends an answer."""
    return next((number for number, token in enumerate(ids) if token in eos_token_ids), len(ids))


def all_eos_token_ids(settings: GenerationConfig, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """What ends an answer: the tokenizer's eos, which training uses, and whatever a model's settings bring along."""
    found = settings.eos_token_id
    return sorted({tokenizer.eos_token_id, *(found if isinstance(found, list) else [] if found is None else [found])})


def remaining(prompt_length: int, max_new_tokens: int, window: int | None) -> int:
    """How many tokens may follow a prompt. Raises XllmError where the prompt alone fills the window."""
    if window is None:
        return max_new_tokens
    if prompt_length >= window:
        raise XllmError(f"a prompt of {prompt_length} tokens doesn't fit into the model's window of {window}")
    return min(max_new_tokens, window - prompt_length)
