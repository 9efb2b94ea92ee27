"""Control tokens in data are text: "</s>" in an answer, "<|im_start|>" in what somebody types.

A tokenizer takes such a text for the token that steers the model, wherever it stands: an answer would end in its
middle, a message begin another turn. Texts that hold one are therefore tokenized by a copy of the tokenizer in which
control tokens have other names, which nobody can type, and the same ids. What a chat template writes itself stays what
it is. Other texts, nearly all, go through the tokenizer as ever.

`tokenizers` has `encode_special_tokens` for this. It isn't enough: it holds for a whole text, with what the template
writes; the pieces of sentencepiece's Unigram, and the merges of its BPE, lead to "</s>" all the same; and tokens that
begin a turn aren't always declared special.
"""

import json
import re
import secrets
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

T = TypeVar("T")
Texts = tuple[str, ...]
BARRED = re.compile(r"<[|｜].+[|｜]>")  # <｜User｜> is one of DeepSeek's, which declares it an ordinary token
NONCE = secrets.token_hex(16)  # or else somebody could type the names
ALLOWED = "special_tokens_in_data"  # on a tokenizer that is to take them for what they are


class ControlTokens:
    """The control tokens of a tokenizer, and how texts that hold some are tokenized."""

    def __init__(self, backend: Any) -> None:
        added = backend.get_added_tokens_decoder()
        self.ids: dict[str, int] = {
            token.content: number
            for number, token in added.items()
            if token.content and (token.special or BARRED.fullmatch(token.content))
        }
        longest_first = sorted(self.ids, key=len, reverse=True)
        self._any = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self._backend = backend
        # a full-width "＜/ｓ＞" becomes one that the vocabulary knows
        unigram = type(backend.model).__name__ == "Unigram"
        normalizes = unigram or any(token.normalized for token in added.values())
        self._normalizer = backend.normalizer if normalizes else None

    def found(self, text: str) -> list[str]:
        """The control tokens that a text holds, one after the other."""
        found = self._any.findall(text)
        if found or self._normalizer is None:
            return found
        return self._any.findall(self._normalizer.normalize_str(text))

    def without(self, text: str) -> str:
        """A text without the control tokens that it holds."""
        return self._any.sub("", text)

    def shield(self, text: str) -> str:
        """A text that a chat template is to hold, without what it would take for control tokens of its own."""
        return self._any.sub(lambda match: f"<{NONCE}={self.ids[match[0]]}>", text)

    def shielded(self, text: str) -> bool:
        """Whether something in a text has been shielded."""
        return f"<{NONCE}=" in text

    def written(self, text: str) -> str:
        """What a chat template has written as `renamed` takes it: its control tokens by their new names, and what was
        shielded as it was."""
        names = {number: name for name, number in self.ids.items()}
        text = self._any.sub(lambda match: _new_name(self.ids[match[0]]), text)
        return re.sub(rf"<{NONCE}=(\d+)>", lambda match: names[int(match[1])], text)

    @cached_property
    def renamed(self) -> Any:
        """The tokenizer with other names for its control tokens."""
        from tokenizers import Tokenizer

        state = json.loads(self._backend.to_str())
        new = {name: _new_name(number) for name, number in self.ids.items()}
        for token in state["added_tokens"]:
            token["content"] = new.get(token["content"], token["content"])
        model = state["model"]
        if isinstance(model["vocab"], dict):
            model["vocab"] = {new.get(piece, piece): number for piece, number in model["vocab"].items()}
        else:
            model["vocab"] = [[new.get(piece, piece), score] for piece, score in model["vocab"]]
        if model.get("unk_token") in new:
            model["unk_token"] = new[model["unk_token"]]
        if "merges" in model:
            pairs = [pair if isinstance(pair, list) else pair.split(" ") for pair in model["merges"]]
            model["merges"] = [pair for pair in pairs if not {*pair, "".join(pair)} & new.keys()]
        renamed = Tokenizer.from_str(json.dumps(state, ensure_ascii=False))
        renamed.no_padding()
        renamed.no_truncation()
        assert all(renamed.token_to_id(name) == self.ids[old] for old, name in new.items())
        return renamed


def _new_name(number: int) -> str:
    return f"<{NONCE}:{number}>"


_known: "WeakKeyDictionary[PreTrainedTokenizerFast, ControlTokens]" = WeakKeyDictionary()


def of(tokenizer: "PreTrainedTokenizerFast") -> ControlTokens:
    """The control tokens of a tokenizer, found once."""
    if tokenizer not in _known:
        _known[tokenizer] = ControlTokens(tokenizer.backend_tokenizer)
    return _known[tokenizer]


def allow(tokenizer: "PreTrainedTokenizerFast") -> "PreTrainedTokenizerFast":
    """Let a tokenizer take control tokens in data for what they are."""
    setattr(tokenizer, ALLOWED, True)
    return tokenizer


def allowed(tokenizer: "PreTrainedTokenizerFast") -> bool:
    """Whether a tokenizer does so."""
    return getattr(tokenizer, ALLOWED, False)


def shield(messages: Sequence[dict[str, str]], tokenizer: "PreTrainedTokenizerFast") -> list[dict[str, str]]:
    """The messages of a conversation as a chat template is to put them, unless control tokens are allowed in data."""
    if allowed(tokenizer):
        return list(messages)
    return [message | {"content": of(tokenizer).shield(message["content"])} for message in messages]


def as_text(
    rows: Sequence[Texts],
    tokenizer: "PreTrainedTokenizerFast",
    *,
    chat: bool,
    work: Callable[[Any, list[Texts]], list[T]],
) -> list[T]:
    """What `work` makes of rows of texts with the backend that it is given: the tokenizer's own, or for rows that hold
    control tokens the renamed one. The first text of a row of a `chat` is what a chat template has written."""
    if allowed(tokenizer):
        return work(_plain(tokenizer), list(rows))
    controls, found = of(tokenizer), dict[int, T]()
    if apart := [number for number, row in enumerate(rows) if _held(row, controls, chat)]:
        held = [(controls.written(row[0]), *row[1:]) if chat else row for row in (rows[number] for number in apart)]
        found = dict(zip(apart, work(controls.renamed, held), strict=True))
    own = [number for number in range(len(rows)) if number not in found]
    found |= zip(own, work(_plain(tokenizer), [rows[number] for number in own]), strict=True)
    return [found[number] for number in range(len(rows))]


def _held(row: Texts, controls: ControlTokens, chat: bool) -> bool:
    return (controls.shielded(row[0]) if chat else bool(controls.found(row[0]))) or any(map(controls.found, row[1:]))


def _plain(tokenizer: "PreTrainedTokenizerFast") -> Any:
    backend = tokenizer.backend_tokenizer  # what `tokenizer` calls, without the columns that nobody reads here
    if backend.padding is not None or backend.truncation is not None:  # as a call may have left it
        backend.no_padding()
        backend.no_truncation()
    return backend
