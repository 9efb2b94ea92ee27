"""Answers out of a closed set: which tokens they are, how likely each is, and how to write no other."""

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from xllm.boundary import encode_pairs
from xllm.errors import XllmError
from xllm.packing.prefix_tree import log_probabilities
from xllm.records import LabelScore
from xllm.templates import CHAT


@dataclass(frozen=True)
class Label:
    """A label as it follows a prompt: the token ids of both, of which the first `start` are the prompt's own.

    One that `begins_another` label of its row is chosen only where what follows ends the answer: without that, it would
    be at least as likely as the longer one, whatever the model says.
    """

    text: str
    ids: list[int]
    start: int
    begins_another: bool

    @property
    def tokens(self) -> list[int]:
        return self.ids[self.start :]


class Trie:
    """What may be written, token by token, where the answer is one of some labels."""

    def __init__(self, labels: list[Label], eos_token_ids: list[int]) -> None:
        self.texts = {tuple(label.tokens): label.text for label in labels}
        self.eos_token_ids = eos_token_ids

    def after(self, begun: list[int]) -> list[int]:
        """The token ids that may follow; none after a label that begins no other."""
        size, own = len(begun), tuple(begun)
        found = {label[size] for label in self.texts if len(label) > size and label[:size] == own}
        return sorted(found.union(self.eos_token_ids if found and own in self.texts else ()))

    def text(self, answer: list[int]) -> str:
        """The label that an answer is, as it was given: a tokenizer may say it in other words."""
        end = next((place for place, token in enumerate(answer) if token in self.eos_token_ids), len(answer))
        return self.texts[tuple(answer[:end])]


def after_prompts(
    prompts: list[str], labels: dict[str, list[str]], template: str, tokenizer: PreTrainedTokenizerFast
) -> list[list[Label]]:
    """The labels of each prompt; `labels` are by what their row is called. Raises XllmError for a label of which no
    token is left, and for two that are the same tokens."""
    both = [(prompt, label) for prompt, own in zip(prompts, labels.values(), strict=True) for label in own]
    pairs = iter(encode_pairs([pair[0] for pair in both], [pair[1] for pair in both], tokenizer, chat=template == CHAT))
    rows = []
    for name, texts in labels.items():
        own = [next(pairs) for _ in texts]
        tokens = [tuple(pair.ids[pair.start :]) for pair in own]
        _check(texts, tokens, name)
        begins = [any(other[: len(one)] == one and other != one for other in tokens) for one in tokens]
        rows.append([Label(text, *pair[:2], more) for text, pair, more in zip(texts, own, begins, strict=True)])
    return rows


def check_ends(rows: list[list[Label]], eos_token_ids: list[int]) -> None:
    """Raise XllmError for a label that couldn't be written to its end."""
    for label in (label for row in rows for label in row):
        if not set(label.tokens).isdisjoint(eos_token_ids):
            raise XllmError(
                f"the label {label.text!r} has a token that ends the model's answers; --labels score takes it"
            )


def _check(labels: list[str], tokens: list[tuple[int, ...]], row: str) -> None:
    seen: dict[tuple[int, ...], str] = {}
    for text, own in zip(labels, tokens, strict=True):
        if not own:
            raise XllmError(f"{row}: the label {text!r} has no token in the model's vocabulary")
        if own in seen:
            raise XllmError(
                f"{row}: the labels {seen[own]!r} and {text!r} are the same tokens to the model, which can't choose"
            )
        seen[own] = text


def score(model: PreTrainedModel, rows: list[list[Label]], eos_token_ids: list[int]) -> list[list[LabelScore]]:
    """How likely each label of each row is after its prompt: the natural logarithm of its probability (`sum`), and
    that for each of its tokens and for each byte of its text. Where a label must end the answer, any eos does.

    `reference` is the rule of x-LLM's code (`evaluate_by_perplexity` of its inference.py): the mean over the tokens of
    prompt and label, but for the first, which nothing foretells. Of labels with more tokens than others it says more of
    the prompt."""
    asked: list[tuple[list[int], int]] = []
    for row in rows:
        own = [(label.ids + end, label.start) for label in row for end in _ends(label, eos_token_ids)]
        asked += [(own[0][0], 1), *own[1:]]  # the first tells of the prompt, too
    said = iter(log_probabilities(model, [ids for ids, _ in asked], [start for _, start in asked]))
    found: list[list[LabelScore]] = []
    for row in rows:
        ways = [[next(said) for _ in _ends(label, eos_token_ids)] for label in row]
        prompt, ways[0][0] = ways[0][0].tensor_split([row[0].start - 1])
        found.append([_score(label, own, prompt.sum().item()) for label, own in zip(row, ways, strict=True)])
    return found


def _ends(label: Label, eos_token_ids: list[int]) -> list[list[int]]:
    return [[token] for token in eos_token_ids] if label.begins_another else [[]]


def _score(label: Label, ways: list[torch.Tensor], prompt: float) -> LabelScore:
    """A label's score by the logarithms of its tokens, with each way to end, and the sum of those of its prompt."""
    total = torch.stack([own.sum() for own in ways]).logsumexp(0).item()
    tokens, own = len(label.tokens) + label.begins_another, ways[0][: len(label.tokens)].sum().item()
    return {
        "sum": total,
        "per_token": total / tokens,
        "per_byte": total / len(label.text.encode()),
        "reference": (prompt + own) / (len(label.ids) - 1),
    }
