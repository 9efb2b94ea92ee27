"""Answers out of a closed set: which tokens they are, how likely each is, and how to write no other."""

from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from xllm.errors import XllmError
from xllm.mixture.encoding import encode_texts
from xllm.packing.prefix_tree import log_probabilities
from xllm.records import LabelScore
from xllm.templates import CHAT


@dataclass(frozen=True)
class Label:
    """A label as it follows a prompt: the token ids of both as one text, of which the first `start` are the prompt's
    (a token of which but a part is the label counts as prompt, as in training)."""

    text: str
    ids: list[int]
    start: int

    @property
    def tokens(self) -> list[int]:
        return self.ids[self.start :]


class Trie:
    """What may be written, token by token, where the answer is one of some labels."""

    def __init__(self, labels: list[Label]) -> None:
        self.labels, self.texts = [label.tokens for label in labels], [label.text for label in labels]

    def after(self, begun: list[int]) -> list[int]:
        """The token ids that may follow; none after a whole label."""
        size = len(begun)
        return sorted({label[size] for label in self.labels if len(label) > size and label[:size] == begun})

    def text(self, answer: list[int]) -> str:
        """The label that an answer is, as it was given: a tokenizer may say it in other words."""
        return next(
            text for tokens, text in zip(self.labels, self.texts, strict=True) if answer[: len(tokens)] == tokens
        )


def check(labels: list[str], row: str) -> None:
    """Raise XllmError, naming the row, for labels that can't be told apart as they are written."""
    for one in labels:
        longer = next((other for other in labels if other != one and other.startswith(one)), None)
        if longer is not None:
            raise XllmError(f"{row}: the label {one!r} begins the label {longer!r}; --labels score can tell them apart")


def after_prompts(
    prompts: list[str], labels: list[list[str]], template: str, tokenizer: PreTrainedTokenizerFast
) -> list[list[Label]]:
    """The labels of each prompt. Raises XllmError for one of which no token is left."""
    pairs = [(prompt, label) for prompt, own in zip(prompts, labels, strict=True) for label in own]
    asked, texts = [prompt for prompt, _ in pairs], [text for _, text in pairs]
    encoded, starts = encode_texts(asked, texts, tokenizer, special=template != CHAT)
    found = (Label(text, ids[:-1], start) for text, ids, start in zip(texts, encoded, starts, strict=True))  # no eos
    rows = [[next(found) for _ in own] for own in labels]
    for label in (label for row in rows for label in row):
        if not label.tokens:
            raise XllmError(f"the label {label.text!r} has no token of its own after its prompt")
    return rows


def score(model: PreTrainedModel, rows: list[list[Label]]) -> list[list[LabelScore]]:
    """How likely each label of each row is after its prompt: the natural logarithm of its probability (`sum`), and
    that for each of its tokens and for each byte of its text."""
    every = [label for row in rows for label in row]
    sums = iter(log_probabilities(model, [label.ids for label in every], [label.start for label in every]))
    found: list[list[LabelScore]] = []
    for row in rows:
        totals = [float(next(sums).sum()) for _ in row]
        found.append(
            [
                {"sum": total, "per_token": total / len(label.tokens), "per_byte": total / len(label.text.encode())}
                for total, label in zip(totals, row, strict=True)
            ]
        )
    return found
