"""From prompts to answers with `transformers`: its own generation, or the one that shares what prompts begin with."""

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

from xllm.inference.batching import tokens_that_fit
from xllm.inference.constrained import Trie
from xllm.inference.decode import Limits, decode
from xllm.inference.engine import Decoding, all_eos_token_ids, answer_length, device_and_dtype, remaining, text_of
from xllm.models import load
from xllm.models.load import load_model, load_tokenizer
from xllm.packing.structure import words

BEAT = 0.25  # seconds, after which a stream is heard of even if nothing was written


@dataclass(frozen=True)
class Written:
    """An answer that grows: its text so far, of how many tokens, and whether a token that ends answers has come."""

    text: str
    tokens: int
    ended: bool = False


class HFEngine:
    """An engine whose model is transformers', and open to whoever asks more of it than answers."""

    rows = 128

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self.shares_prefixes = False  # its model attends by tree (`xllm.packing.prefix_tree`)
        self.one_by_one = False  # its answers depend on what else is in the batch (`xllm.packing.structure`)
        self.window = load.window(model.config.get_text_config())
        self.vocabulary = words(model)
        self.eos_token_ids = all_eos_token_ids(model.generation_config, tokenizer)
        # for training alone; transformers can't compute it token by token
        if getattr(model.config.get_text_config(), "output_router_logits", False):
            model.config.get_text_config().output_router_logits = False
        # what a request leaves open would be taken from the model's own settings, a repetition penalty for one
        model.generation_config = GenerationConfig()

    @classmethod
    def load(cls, source: str, bits: int | None = None) -> "HFEngine":
        """The engine of a model folder or hub id, on the best device of the machine; its weights have so many `bits`,
        where given, by bitsandbytes."""
        tokenizer = load_tokenizer(source)
        device, dtype = device_and_dtype()
        if bits is None:
            return cls(load_model(source, dtype).to(device), tokenizer)  # type: ignore[arg-type]
        quantized = BitsAndBytesConfig(**{f"load_in_{bits}bit": True})
        return cls(load_model(source, dtype, quantization_config=quantized, device_map=device), tokenizer)

    def answer(self, prompts: list[list[int]], decoding: Decoding) -> list[str]:
        """Answers to prompts of token ids, in one batch."""
        return [text_of(ids, self) for ids in self.write(prompts, decoding)]

    @property
    def tokens(self) -> int:
        """How many tokens a batch may hold: those whose keys and values fit into memory."""
        return tokens_that_fit(self.model.config.get_text_config(), self.model.dtype)

    def generate(
        self, prompts: list[list[int]], decoding: Decoding, seeds: Sequence[int], tries: Sequence[Trie] | None = None
    ) -> Iterator[tuple[int, list[int]]]:
        """The number of each prompt and the token ids of its answer, as they end, or all at the end."""
        if not self.shares_prefixes:
            yield from enumerate(self.write(prompts, decoding, seeds, tries))
            return
        most = [remaining(len(prompt), decoding.max_new_tokens, self.window) for prompt in prompts]
        yield from decode(self.model, prompts, decoding, seeds, Limits(self.eos_token_ids, most, tries))

    def write(
        self,
        prompts: list[list[int]],
        decoding: Decoding,
        seeds: Sequence[int] = (),
        tries: Sequence[Trie] | None = None,
    ) -> list[list[int]]:
        """The token ids of the answers to prompts, in one batch, up to and with what ends them.

        The prompts are padded on the left, positions counting from each one's first token, so that an answer doesn't
        depend on which other prompts share the batch (up to the rounding of the machine). An answer ends where the
        window does, so prompts that are near its end go apart from the others. What is drawn depends on the first of
        the `seeds`.
        """
        if self.one_by_one and len(prompts) > 1:
            each = [slice(row, row + 1) for row in range(len(prompts))]
            return [self.write(prompts[row], decoding, seeds[row], tries and tries[row])[0] for row in each]
        if seeds:
            torch.manual_seed(seeds[0])
        left = [remaining(len(prompt), decoding.max_new_tokens, self.window) for prompt in prompts]
        answers: dict[int, list[int]] = {}
        for tokens in set(left):
            rows = [row for row, own in enumerate(left) if own == tokens]
            ids, mask = pad_left([prompts[row] for row in rows], self.eos_token_ids[0], self.model.device)
            own_tries = None if tries is None else [tries[row] for row in rows]
            with torch.inference_mode():
                output = self.model.generate(
                    ids,
                    attention_mask=mask,
                    generation_config=self._config(decoding, tokens),
                    prefix_allowed_tokens_fn=own_tries and self._allowed(own_tries, ids.shape[1]),
                )
            answers |= zip(rows, map(self._whole, output[:, ids.shape[1] :].tolist()), strict=True)
        return [answers[row] for row in range(len(prompts))]

    def _allowed(self, tries: list[Trie], start: int) -> Callable[[int, torch.Tensor], list[int]]:
        """Which tokens may follow in a row of a batch, whose answers begin at `start`; eos after a whole label."""
        return lambda row, ids: tries[row].after(ids[start:].tolist()) or self.eos_token_ids[:1]

    def _whole(self, ids: list[int]) -> list[int]:
        """An answer with the first token that ends it, without the padding that follows."""
        return ids[: answer_length(ids, self.eos_token_ids) + 1]

    def stream(self, prompt: list[int], decoding: Decoding, stop: threading.Event) -> Iterator[Written]:
        """The answer to one prompt as it grows, several times a second; whole, at the end, with beams.

        Setting `stop`, or closing the iterator, ends the generation before its next token.
        """
        most = remaining(len(prompt), decoding.max_new_tokens, self.window)
        streamer = TextIteratorStreamer(
            self.tokenizer, skip_prompt=True, timeout=BEAT, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        watch, answer, failure = _Watch(stop, len(prompt)), [], []

        def work() -> None:
            try:
                ids, mask = pad_left([prompt], self.eos_token_ids[0], self.model.device)
                with torch.inference_mode():
                    output = self.model.generate(
                        ids,
                        attention_mask=mask,
                        generation_config=self._config(decoding, most),
                        streamer=streamer if decoding.num_beams == 1 else None,
                        stopping_criteria=[watch],
                    )
                answer.extend(self._whole(output[0, len(prompt) :].tolist()))
                if decoding.num_beams > 1:
                    streamer.on_finalized_text(text_of(answer, self), stream_end=True)
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
        yield Written(text.strip(), len(answer), ended=bool(answer) and answer[-1] in self.eos_token_ids)

    def _config(self, decoding: Decoding, max_new_tokens: int) -> GenerationConfig:
        settings: dict[str, Any] = {"num_beams": decoding.num_beams, "do_sample": decoding.do_sample}
        if decoding.do_sample:
            settings |= {
                "temperature": 1.0 if decoding.temperature is None else decoding.temperature,
                "top_p": 1.0 if decoding.top_p is None else decoding.top_p,
                "top_k": 0 if decoding.top_k is None else decoding.top_k,
            }
        return GenerationConfig(
            max_new_tokens=max_new_tokens,
            eos_token_id=self.eos_token_ids,
            pad_token_id=self.eos_token_ids[0],
            **settings,
        )


class _Watch(StoppingCriteria):
    """Counts the tokens of an answer as they come, and ends it where it is told to."""

    def __init__(self, stop: threading.Event, prompt_length: int) -> None:
        self.stop, self.prompt_length, self.tokens = stop, prompt_length, 0

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs) -> torch.Tensor:
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


def pad_left(prompts: list[list[int]], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts as `input_ids` and `attention_mask` of shape [prompts, longest prompt]."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids.to(device), mask.to(device)
