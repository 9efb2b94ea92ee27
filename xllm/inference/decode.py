"""Answers to a batch of prompts, token by token: what they share is computed once, and a row leaves when it ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import (
    LogitsProcessorList,
    PreTrainedModel,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from xllm.inference.constrained import Trie
from xllm.inference.engine import Decoding
from xllm.packing.prefix_tree import Cache, Tree, logits, next_logits


@dataclass(frozen=True)
class Limits:
    """Where the answer to each prompt of a batch ends."""

    eos_token_ids: list[int]
    remaining: list[int]  # tokens that it may have
    tries: Sequence[Trie] | None = None  # what it may be, where it is one of some labels

    def reached(self, row: int, answer: list[int]) -> bool:
        """Whether an answer is over: it has said so, has no tokens remaining, or is a label."""
        if answer[-1] in self.eos_token_ids or len(answer) == self.remaining[row]:
            return True
        return self.tries is not None and not self.tries[row].after(answer)


def decode(
    model: PreTrainedModel, prompts: list[list[int]], decoding: Decoding, seeds: Sequence[int], limits: Limits
) -> Iterator[tuple[int, list[int]]]:
    """The number of each prompt and the token ids of its answer, as they end. The model attends by tree.

    What is drawn depends on a row's seed alone, never on the rows beside it.
    """
    tree = Tree(prompts)
    most = max(len(prompt) + tokens for prompt, tokens in zip(prompts, limits.remaining, strict=True))
    cache = Cache(tree.places, most, model.device)
    choose = Chooser(decoding, seeds, limits)
    rows = list(range(len(prompts)))
    answers: list[list[int]] = [[] for _ in prompts]
    with torch.inference_mode():
        scores = logits(model, tree, [places[-1] for places in tree.places], cache)
        while True:
            for row, token in zip(rows, choose(scores, rows, answers), strict=True):
                answers[row].append(token)
            for slot in reversed(range(len(rows))):
                row = rows[slot]
                if limits.reached(row, answers[row]):
                    yield row, answers[row]
                    cache.drop(slot)
                    rows[slot] = rows[-1]
                    rows.pop()
            if not rows:
                return
            scores = next_logits(model, [answers[row][-1] for row in rows], cache)


class Chooser:
    """Chooses each row's next token."""

    def __init__(self, decoding: Decoding, seeds: Sequence[int], limits: Limits) -> None:
        self.tries, self.warpers = limits.tries, LogitsProcessorList()
        self.no_ids = torch.LongTensor()  # which none of the warpers looks at
        self.draws: list[torch.Tensor] | None = None  # a number from 0 to 1 for each token of each row
        if decoding.do_sample:
            if decoding.temperature is not None:
                self.warpers.append(TemperatureLogitsWarper(decoding.temperature))
            if decoding.top_k is not None:
                self.warpers.append(TopKLogitsWarper(decoding.top_k))
            if decoding.top_p is not None:
                self.warpers.append(TopPLogitsWarper(decoding.top_p))
            generators = [torch.Generator().manual_seed(seed) for seed in seeds]
            self.draws = [
                torch.rand(tokens, generator=own, dtype=torch.float64)
                for tokens, own in zip(limits.remaining, generators, strict=True)
            ]

    def __call__(self, scores: torch.Tensor, rows: list[int], answers: list[list[int]]) -> list[int]:
        """The next token of each of `rows`, by its scores, [rows, vocab_size]."""
        scores = scores.float()
        if self.tries is not None:
            allowed = torch.full_like(scores, -torch.inf)
            for slot, row in enumerate(rows):
                tokens = self.tries[row].after(answers[row])
                allowed[slot, tokens] = scores[slot, tokens]
            scores = allowed
        if self.draws is None:
            return scores.argmax(-1).tolist()
        exact = torch.float32 if scores.device.type == "mps" else torch.float64
        shares = self.warpers(self.no_ids, scores).to(exact).softmax(-1).cumsum(-1)
        draws = torch.stack([self.draws[row][len(answers[row])] for row in rows]).to(shares)
        # where all that comes before a word has less than what was drawn, and with it more
        return torch.searchsorted(shares, (draws * shares[:, -1])[:, None], right=True)[:, 0].tolist()
