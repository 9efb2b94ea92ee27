"""From prompts to answers with `transformers`' own generation."""

import math
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    StoppingCriteria,
    TextIteratorStreamer,
)

from xllm.errors import XllmError
from xllm.inference.batching import tokens_that_fit
from xllm.models import load
from xllm.models.load import load_model, load_tokenizer

BEAT = 0.25  # seconds, after which a stream is heard of even if nothing was written


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


def ends_of(settings: GenerationConfig, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """What ends an answer: the tokenizer's eos, which training uses, and whatever a model's settings bring along."""
    ends = settings.eos_token_id
    return sorted({tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [] if ends is None else [ends])})


@dataclass(frozen=True)
class Written:
    """An answer that grows: its text so far, of how many tokens, and whether a token that ends answers has come."""

    text: str
    tokens: int
    ended: bool = False


class Engine:
    """A model that answers prompts."""

    rows = 128  # at a time, unless told otherwise

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self.shares = False  # what prompts have in common (`xllm.inference.tree`)
        self.window = load.window(model.config.get_text_config())
        self.ends = ends_of(model.generation_config, tokenizer)
        # what a request leaves open would be taken from the model's own settings, a repetition penalty for one
        model.generation_config = GenerationConfig()

    @classmethod
    def load(cls, source: str, bits: int | None = None) -> "Engine":
        """The engine of a model folder or hub id, on the best device of the machine; its weights have so many `bits`,
        where given, by bitsandbytes."""
        tokenizer = load_tokenizer(source)
        device, dtype = device_and_dtype()
        if bits is None:
            return cls(load_model(source, dtype).to(device), tokenizer)
        quantized = BitsAndBytesConfig(**{f"load_in_{bits}bit": True})
        return cls(load_model(source, dtype, quantization_config=quantized, device_map=device), tokenizer)

    def answer(self, prompts: list[list[int]], decoding: Decoding) -> list[str]:
        """Answers to prompts of token ids, in one batch."""
        return [self.text(ids) for ids in self.write(prompts, decoding)]

    @property
    def tokens(self) -> int:
        """How many tokens a batch may hold."""
        return tokens_that_fit(self.model.config.get_text_config(), self.model.dtype)

    def write(
        self,
        prompts: list[list[int]],
        decoding: Decoding,
        allowed: Callable[[int, list[int]], list[int]] | None = None,
        seeds: Sequence[int] = (),
    ) -> list[list[int]]:
        """The token ids of the answers to prompts, in one batch, up to and with what ends them.

        The prompts are padded on the left, positions counting from each one's first token, so that an answer doesn't
        depend on which other prompts share the batch (up to the rounding of the machine). An answer ends where the
        window does, so prompts that are near its end go apart from the others. `allowed` says, of a prompt's number and
        its answer so far, which tokens may follow; none ends it. What is drawn depends on the first of the `seeds`.
        """
        if seeds:
            torch.manual_seed(seeds[0])
        room = [budget(len(prompt), decoding.max_new_tokens, self.window) for prompt in prompts]
        answers: dict[int, list[int]] = {}
        for tokens in set(room):
            rows = [row for row, most in enumerate(room) if most == tokens]
            ids, mask = pad_left([prompts[row] for row in rows], self.ends[0], self.model.device)
            bound = allowed and (
                lambda slot, begun, rows=rows, start=ids.shape[1]: (
                    allowed(rows[slot], begun[start:].tolist()) or self.ends[:1]
                )
            )
            with torch.inference_mode():
                output = self.model.generate(
                    ids,
                    attention_mask=mask,
                    generation_config=self._config(decoding, tokens),
                    prefix_allowed_tokens_fn=bound,
                )
            answers |= zip(rows, map(self._whole, output[:, ids.shape[1] :].tolist()), strict=True)
        return [answers[row] for row in range(len(prompts))]

    def _whole(self, ids: list[int]) -> list[int]:
        """An answer with the first token that ends it, without the padding that follows."""
        end = next((i for i, token in enumerate(ids) if token in self.ends), len(ids))
        return ids[: end + 1]

    def stream(self, prompt: list[int], decoding: Decoding, stop: threading.Event) -> Iterator[Written]:
        """The answer to one prompt as it grows, several times a second; whole, at the end, with beams.

        Setting `stop`, or closing the iterator, ends the generation before its next token.
        """
        room = budget(len(prompt), decoding.max_new_tokens, self.window)
        streamer = TextIteratorStreamer(
            self.tokenizer, skip_prompt=True, timeout=BEAT, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        watch, answer, failure = _Watch(stop, len(prompt)), [], []

        def work() -> None:
            try:
                ids, mask = pad_left([prompt], self.ends[0], self.model.device)
                with torch.inference_mode():
                    output = self.model.generate(
                        ids,
                        attention_mask=mask,
                        generation_config=self._config(decoding, room),
                        streamer=streamer if decoding.num_beams == 1 else None,
                        stopping_criteria=[watch],
                    )
                answer.extend(self._whole(output[0, len(prompt) :].tolist()))
                if decoding.num_beams > 1:
                    streamer.on_finalized_text(self.text(answer), stream_end=True)
            except Exception as error:  # raised again in the reader's thread
                failure.append(error)
                streamer.end()

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        text = ""
        try:
            for piece in _with_beats(streamer):
                text += piece
                yield Written(text.strip(), watch.tokens)
        finally:
            stop.set()
            worker.join()
        if failure:
            raise failure[0]
        yield Written(text.strip(), len(answer), ended=bool(answer) and answer[-1] in self.ends)

    def text(self, ids: list[int]) -> str:
        """The text of answer tokens, up to the first that ends an answer."""
        end = next((i for i, token in enumerate(ids) if token in self.ends), len(ids))
        return self.tokenizer.decode(ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False).strip()

    def _config(self, decoding: Decoding, max_new_tokens: int) -> GenerationConfig:
        settings: dict[str, Any] = {"num_beams": decoding.num_beams, "do_sample": decoding.do_sample}
        if decoding.do_sample:
            settings |= {
                "temperature": 1.0 if decoding.temperature is None else decoding.temperature,
                "top_p": 1.0 if decoding.top_p is None else decoding.top_p,
                "top_k": 0 if decoding.top_k is None else decoding.top_k,
            }
        return GenerationConfig(
            max_new_tokens=max_new_tokens, eos_token_id=self.ends, pad_token_id=self.ends[0], **settings
        )


class _Watch(StoppingCriteria):
    """Counts the tokens of an answer as they come, and ends it where it is told to."""

    def __init__(self, stop: threading.Event, prompt_length: int) -> None:
        self.stop, self.prompt_length, self.tokens = stop, prompt_length, 0

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs) -> torch.BoolTensor:
        self.tokens = input_ids.shape[1] - self.prompt_length
        return torch.full((input_ids.shape[0],), self.stop.is_set(), device=input_ids.device)


def _with_beats(streamer: TextIteratorStreamer) -> Iterator[str]:
    """What a streamer brings, and an empty text where it brings nothing for a while."""
    while True:
        try:
            yield next(streamer)
        except queue.Empty:
            yield ""
        except StopIteration:
            return


def budget(prompt_length: int, max_new_tokens: int, window: int | None) -> int:
    """How many tokens may follow a prompt. Raises XllmError where the prompt alone fills the window."""
    if window is None:
        return max_new_tokens
    if prompt_length >= window:
        raise XllmError(f"a prompt of {prompt_length} tokens doesn't fit into the model's window of {window}")
    return min(max_new_tokens, window - prompt_length)


def pad_left(prompts: list[list[int]], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts as `input_ids` and `attention_mask` of shape [prompts, longest prompt]."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids.to(device), mask.to(device)
