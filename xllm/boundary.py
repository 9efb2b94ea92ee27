"""Prompts and answers as token ids: what a model reads before an answer, and the answer.

A model that answers reads the prompt's own token ids: nobody knows yet what follows. So these ids stand before every
answer: in training, in held-out loss, where labels are scored or written, in perplexity. Two rules follow.

Where a prompt ends in blanks, they are the answer's (`split`): most vocabularies join a space to the word after it, so
that a prompt which ends in a space is followed by words as no text has them. EleutherAI's lm-evaluation-harness does
the same (`TemplateLM._encode_pair`). It follows from the prompt alone, as it must where the answer isn't known yet. A
chat template is left as it is: its last newline is the cue that the model was tuned on, and other tools send it too.

Prompt and answer are tokenized as one text, as the reference does, unless a token straddles the boundary (Qwen's
vocabulary has ":A"): such a token would be masked with the prompt, which a model that answers never sees. Then the
answer is tokenized apart. Control tokens in either are text (`xllm.control_tokens`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from xllm import control_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# What an answer that is tokenized apart follows on, the first that shares no token with it. Sentencepiece puts a space
# in front of a text, and some normalizers take blanks away there, so that an answer can't be tokenized on its own. No
# text of a prompt does: it would be the one that shares a token.
NEUTRAL = ("x\n", ":", "x", "。", "1", ")", "\n")


class Pair(NamedTuple):
    """A prompt and its answer."""

    ids: list[int]  # the prompt's own, then the answer's; no eos
    start: int  # of the answer
    straddles: bool  # tokenized as one text, a token takes the prompt's end and the answer's beginning


def split(prompt: str, answer: str = "") -> tuple[str, str]:
    """Prompt and answer, the blanks at the end of the prompt being the answer's. A prompt of nothing but blanks stays:
    without it there would be nothing to answer to."""
    asked = prompt.rstrip() or prompt
    return asked, prompt[len(asked) :] + answer


def encode_prompts(prompts: Sequence[str], tokenizer: "PreTrainedTokenizerFast", *, chat: bool) -> list[list[int]]:
    """The token ids of prompts, with the special tokens, such as bos, that a tokenizer puts in front of a text. Prompts
    of a `chat` template have theirs already."""
    texts = prompts if chat else [split(prompt)[0] for prompt in prompts]

    def work(backend: Any, rows: list[tuple[str, ...]]) -> list[list[int]]:
        return _ids(backend, [text for (text,) in rows], special=not chat)

    return control_tokens.as_text([(text,) for text in texts], tokenizer, chat=chat, work=work)


def encode_pairs(
    prompts: Sequence[str], answers: Sequence[str], tokenizer: "PreTrainedTokenizerFast", *, chat: bool
) -> list[Pair]:
    """The token ids of prompts, as `encode_prompts` gives them, and of an answer to each."""
    both = list(zip(prompts, answers, strict=True))
    both = both if chat else [split(*pair) for pair in both]

    def work(backend: Any, rows: list[tuple[str, ...]]) -> list[Pair]:
        return _pairs(backend, [(prompt, answer) for prompt, answer in rows], special=not chat)

    return control_tokens.as_text(both, tokenizer, chat=chat, work=work)


def _pairs(backend: Any, both: list[tuple[str, str]], special: bool) -> list[Pair]:
    distinct = list(dict.fromkeys(prompt for prompt, _ in both))  # a prompt may have several labels
    own = dict(zip(distinct, _ids(backend, distinct, special), strict=True))
    together = _together(backend, both, [own[prompt] for prompt, _ in both], special)
    apart = iter(_apart(backend, [answer for (_, answer), ids in zip(both, together, strict=True) if ids is None]))
    return [
        Pair(own[prompt] + (next(apart) if ids is None else ids), len(own[prompt]), ids is None)
        for (prompt, _), ids in zip(both, together, strict=True)
    ]


def _together(
    backend: Any, pairs: Sequence[tuple[str, str]], own: Sequence[list[int]], special: bool
) -> list[list[int] | None]:
    """The token ids of each answer, its prompt and it being tokenized as one text; None where the text doesn't begin
    with the `own` token ids of the prompt, or the last of these covers more than the prompt."""
    found: list[list[int] | None] = []
    after = _trailing(backend) if special else 0
    texts = [prompt + answer for prompt, answer in pairs]
    for (prompt, _), ids, encoding in zip(
        pairs, own, backend.encode_batch(texts, add_special_tokens=special), strict=True
    ):
        # one for all unknown characters, or a special token that takes the blanks around it
        span = encoding.token_to_chars(len(ids) - 1) if 0 < len(ids) <= len(encoding) else None
        whole = encoding.ids
        shares = whole[: len(ids)] != ids or (span is not None and span[1] > len(prompt))
        found.append(None if shares else whole[len(ids) : len(whole) - after])
    return found


def _apart(backend: Any, answers: Sequence[str]) -> list[list[int]]:
    """The token ids of answers as they follow on a text that shares no token with them."""
    found: dict[str, list[int]] = {}
    for prefix in NEUTRAL:
        left = [answer for answer in dict.fromkeys(answers) if answer not in found]
        if not left:
            break
        [own] = _ids(backend, [prefix], special=False)
        ids = _together(backend, [(prefix, answer) for answer in left], [own] * len(left), special=False)
        found |= {answer: row for answer, row in zip(left, ids, strict=True) if row is not None}
    left = [answer for answer in dict.fromkeys(answers) if answer not in found]
    found |= zip(left, _ids(backend, left, special=False), strict=True)
    return [found[answer] for answer in answers]


def _ids(backend: Any, texts: Sequence[str], special: bool) -> list[list[int]]:
    """The token ids of texts, without the special tokens that a tokenizer may put behind a text."""
    after = _trailing(backend) if special else 0
    encodings = backend.encode_batch_fast(list(texts), add_special_tokens=special)
    return [encoding.ids[: len(encoding) - after] for encoding in encodings]


def _trailing(backend: Any) -> int:
    """How many special tokens, eos for one, a tokenizer puts behind a text."""
    mask = backend.encode("a").special_tokens_mask
    return len(mask) - max(place + 1 for place, special in enumerate(mask) if not special)
