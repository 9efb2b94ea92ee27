"""Some rows of a dataset as token ids, and what is counted of them."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import datasets
import numpy as np
import pyarrow as pa

from xllm import boundary, control_tokens
from xllm.mixture import blanks
from xllm.templates import TEMPLATES, TEXT, TEXT_FIELDS, text_of

if TYPE_CHECKING:  # mixing does without transformers until there is something to tokenize
    from transformers import PreTrainedTokenizerFast

INTEGER = datasets.Value("int32")
FEATURES = datasets.Features(
    {
        "input_ids": datasets.List(INTEGER),
        "prompt_length": INTEGER,
        "lost": INTEGER,
        "row": datasets.Value("string"),
    }
)
COUNTED = ("rows", "target_tokens", "cut", "dropped", "lost_target_tokens", "straddling", *blanks.KINDS)
Columns = dict[str, list[Any]]  # of records


@dataclass(frozen=True)
class Wording:
    """How records become token ids."""

    tokenizer: "PreTrainedTokenizerFast"
    template: str  # a key of TEMPLATES
    max_length: int  # tokens
    text_field: str | None = None  # one of TEXT_FIELDS, with the template TEXT

    def facts(self) -> list[Any]:
        """What of it decides the token ids."""
        backend, eos = self.tokenizer.backend_tokenizer.to_str(), self.tokenizer.eos_token_id
        allowed = control_tokens.allowed(self.tokenizer)
        return [backend, eos, allowed, self.template, self.max_length, self.text_field]


class Batch(NamedTuple):
    """What some rows of a dataset come to."""

    name: str  # of the dataset
    counts: dict[str, int]  # the sums of COUNTED
    control_tokens: Counter[str]  # how many of each their texts hold
    table: pa.Table  # the rows as FEATURES


def encode_rows(name: str, batch: Columns, how: Wording) -> Batch:
    """Rows of the dataset `name`."""
    found = encode_batch(batch, how.tokenizer, how.template, how.max_length, how.text_field)
    of_targets = list(map(blanks.kind, found.targets))
    seen = np.array([kind != blanks.INVISIBLE for kind in of_targets])
    named = [f"{name}/{number}" for number in batch["id"]]
    if how.template == TEXT:
        columns, counts = _blocks(found, seen, named, how.max_length)
    else:
        columns, counts = _cut(found, seen, named, how.max_length)
    counts |= {"rows": len(seen), "straddling": int(found.straddles.sum())}
    counts |= {kind: of_targets.count(kind) for kind in blanks.KINDS}
    ids, *others = columns
    offsets = np.cumsum([0, *map(len, ids)], dtype=np.int32)
    lists = pa.ListArray.from_arrays(offsets, np.concatenate(ids))
    table = pa.table(dict(zip(FEATURES, (lists, *others), strict=True)), FEATURES.arrow_schema)
    return Batch(name, counts, _control_tokens(batch, how), table)


Own = tuple[list[np.ndarray], np.ndarray, np.ndarray, list[str]]  # the columns of FEATURES


def _cut(found: "Tokenized", seen: np.ndarray, named: list[str], limit: int) -> tuple[Own, dict[str, int]]:
    """Rows that lose what is beyond the limit, and all of their tokens where no target is left, or none is `seen`."""
    first, lengths = found.first, found.lengths
    too_long = first >= np.minimum(lengths, limit)
    lost = np.where(seen, np.maximum(0, lengths - np.maximum(limit, first)), 0).astype(np.int32)
    kept = seen & ~too_long
    ids = [row if keep else row[:0] for row, keep in zip(found.ids, kept, strict=True)]
    counts = {
        "target_tokens": int((lengths - first)[seen].sum()),
        "cut": int(((lost > 0) & kept).sum()),
        "dropped": int((seen & too_long).sum()),
        "lost_target_tokens": int(lost.sum()),
    }
    return (ids, np.where(kept, first, 0).astype(np.int32), lost, named), counts


def _blocks(found: "Tokenized", seen: np.ndarray, named: list[str], size: int) -> tuple[Own, dict[str, int]]:
    """Texts in blocks of `size` tokens. A single token at the end is no block: nothing before it could predict it. A
    text that comes to no block has one without tokens."""
    texts = [
        (row if keep and len(row) > 1 else row[:0], name)
        for row, keep, name in zip(found.ids, seen, named, strict=True)
    ]
    blocks = [
        (text[start : start + size], name) for text, name in texts for start in range(0, max(1, len(text) - 1), size)
    ]
    first = np.array([min(1, len(block)) for block, _ in blocks], np.int32)
    lengths = np.array([len(block) for block, _ in blocks], np.int32)
    counts = {"target_tokens": int((lengths - first).sum()), "dropped": int((found.lengths[seen] < 2).sum())}
    counts |= {"cut": 0, "lost_target_tokens": 0}
    return ([block for block, _ in blocks], first, 0 * first, [name for _, name in blocks]), counts


def _control_tokens(batch: Columns, how: Wording) -> Counter[str]:
    """Those that the texts of records hold, as far as they are used."""
    fields = [how.text_field] if how.text_field else TEXT_FIELDS
    controls = control_tokens.of(how.tokenizer)
    return Counter(token for field in fields for text in batch[field] for token in controls.found(text))


class Tokenized(NamedTuple):
    """Records as token ids."""

    ids: list[np.ndarray]  # int32; of a row the prompt, the target and eos, up to the limit
    first: np.ndarray  # the tokens of each prompt
    lengths: np.ndarray  # the tokens that each row had before it was cut
    straddles: np.ndarray  # whether a token would straddle prompt and target (`xllm.boundary`)
    targets: list[str]


def encode_batch(
    batch: Columns,
    tokenizer: "PreTrainedTokenizerFast",
    template: str,
    max_length: int,
    text_field: str | None = None,
) -> Tokenized:
    """Records as token ids.

    The prompt's own tokens aren't trained on; the response's are, and eos. A long row loses its end, eos included, as
    in the reference: an answer that was cut must not teach the model to stop there. With the template TEXT there is no
    prompt, and nothing is cut.
    """
    records = list(zip(*(batch[field] for field in TEXT_FIELDS), strict=True))
    if template == TEXT:
        prompts = [""] * len(records)
        targets = [text_of(dict(zip(TEXT_FIELDS, record, strict=True)), text_field) for record in records]
    else:
        prompts, targets = [TEMPLATES[template](*record[:2]) for record in records], [record[2] for record in records]
    pairs = boundary.encode_pairs(prompts, targets, tokenizer, chat=False)
    limit = None if template == TEXT else max_length
    ids = [np.array([*pair.ids, tokenizer.eos_token_id][:limit], np.int32) for pair in pairs]
    # what comes first isn't trained on in any case: nothing before it could predict it
    first = np.array([max(1, pair.start) for pair in pairs], np.int32)
    lengths = np.array([len(pair.ids) + 1 for pair in pairs], np.int32)
    return Tokenized(ids, first, lengths, np.array([pair.straddles for pair in pairs], bool), targets)
