"""Answers to a batch of prompts, token by token: what they share is computed once, and a row leaves when it ends."""

from collections.abc import Iterator

import torch
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from xllm.inference.constrained import Trie
from xllm.inference.engine import Decoding, Engine, budget
from xllm.packing.prefix_tree import Cache, Tree, logits, next_logits


def decode(
    engine: Engine, prompts: list[list[int]], decoding: Decoding, seeds: list[int], tries: list[Trie] | None = None
) -> Iterator[tuple[int, list[int]]]:
    """The number of each prompt and the token ids of its answer, as they end.

    What is drawn depends on a row's seed alone, never on the rows beside it; `tries` bound the answers. The engine's
    model attends by tree.
    """
    room = [budget(len(prompt), decoding.max_new_tokens, engine.window) for prompt in prompts]
    tree = Tree(prompts)
    most = max(len(prompt) + tokens for prompt, tokens in zip(prompts, room, strict=True))
    cache = Cache(tree.places, most, engine.model.device)
    choose = Chooser(decoding, seeds, room, tries)
    rows, answers = list(range(len(prompts))), [[] for _ in prompts]
    with torch.inference_mode():
        scores = logits(engine.model, tree, [places[-1] for places in tree.places], cache)
        while True:
            for row, token in zip(rows, choose(scores, rows, answers), strict=True):
                answers[row].append(token)
            for slot in reversed(range(len(rows))):
                row = rows[slot]
                if ended(answers[row], engine.ends, room[row], tries and tries[row]):
                    yield row, answers[row]
                    cache.drop(slot)
                    rows[slot] = rows[-1]
                    rows.pop()
            if not rows:
                return
            scores = next_logits(engine.model, [answers[row][-1] for row in rows], cache)


def ended(answer: list[int], ends: list[int], room: int, trie: Trie | None) -> bool:
    """Whether an answer is over: it has said so, has no room left, or is a label."""
    return answer[-1] in ends or len(answer) == room or (trie is not None and not trie.after(answer))


class Chooser:
    """Chooses each row's next token."""

    def __init__(self, decoding: Decoding, seeds: list[int], room: list[int], tries: list[Trie] | None) -> None:
        self.tries, self.warpers, self.draws = tries, None, None
        if decoding.do_sample:
            self.warpers = LogitsProcessorList()
            if decoding.temperature is not None:
                self.warpers.append(TemperatureLogitsWarper(decoding.temperature))
            if decoding.top_k is not None:
                self.warpers.append(TopKLogitsWarper(decoding.top_k))
            if decoding.top_p is not None:
                self.warpers.append(TopPLogitsWarper(decoding.top_p))
            generators = [torch.Generator().manual_seed(seed) for seed in seeds]
            self.draws = [
                torch.rand(tokens, generator=own, dtype=torch.float64)
                for tokens, own in zip(room, generators, strict=True)
            ]

    def __call__(self, scores: torch.Tensor, rows: list[int], answers: list[list[int]]) -> list[int]:
        """The next token of each of `rows`, by its scores, [rows, words]."""
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
        shares = self.warpers(None, scores).to(exact).softmax(-1).cumsum(-1)
        draws = torch.stack([self.draws[row][len(answers[row])] for row in rows]).to(shares)
        # where all that comes before a word has less than what was drawn, and with it more
        return torch.searchsorted(shares, (draws * shares[:, -1])[:, None], right=True)[:, 0].tolist()
