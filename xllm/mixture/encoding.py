"""From records to token ids: prompt and response tokenized as one text, and how many of the tokens are prompt."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import datasets
import numpy as np
import pyarrow.compute as pc

from xllm import prompts
from xllm.errors import XllmError
from xllm.mixture.mix import Mixture
from xllm.prompts import TEMPLATES

if TYPE_CHECKING:  # mixing does without transformers until there is something to tokenize
    from transformers import PreTrainedTokenizerFast

INTEGER = datasets.Value("int32")
FEATURES = datasets.Features({"input_ids": datasets.List(INTEGER), "prompt_length": INTEGER, "lost": INTEGER})


@dataclass(frozen=True)
class Encoded:
    """A mixture as token ids.

    `rows` has `input_ids` (prompt, response, eos; cut at the length limit), `prompt_length` (the leading tokens that
    aren't trained on) and `lost` (the target tokens that were cut off); rows without any target left are dropped.
    `terms` says of each dataset: `from`, `language`, `rows`, `target_tokens` (with those that are lost), `cut` (rows
    that lost a part of their target), `dropped` (rows that lost all of it), `lost_target_tokens`.
    """

    rows: datasets.Dataset
    terms: list[dict]

    def lost(self) -> str:
        """What the length limit took away, a line for each dataset that lost anything."""
        return "\n".join(
            f"{term['from']}: {term['cut']} rows lose their end, {term['dropped']} rows have no response left and are "
            f"dropped: {term['lost_target_tokens']} of {term['target_tokens']} target tokens"
            for term in self.terms
            if term["lost_target_tokens"]
        )


def encode(mixture: Mixture, tokenizer: "PreTrainedTokenizerFast", template: str, max_length: int) -> Encoded:
    """Encode a mixture for training; `template` is a key of TEMPLATES, `max_length` counts tokens."""
    rows = mixture.rows
    encoded = rows.map(
        encode_batch,
        batched=True,
        remove_columns=rows.column_names,
        features=FEATURES,
        fn_kwargs={"tokenizer": tokenizer, "template": template, "max_length": max_length},
        desc="tokenizing",
        new_fingerprint=_fingerprint(rows, tokenizer, template, max_length),
    ).with_format("numpy")
    # whole columns at a time, from Arrow: `datasets` would hand over row by row
    prompt_lengths, lost = (encoded.data[column].to_numpy() for column in ("prompt_length", "lost"))
    lengths = pc.list_value_length(encoded.data["input_ids"]).to_numpy()
    dropped = prompt_lengths >= max_length
    targets = np.where(dropped, 0, lengths - prompt_lengths) + lost
    names = rows.select_columns("from").with_format("arrow")[:]["from"]
    terms = []
    for term in mixture.terms:
        own = pc.equal(names, term["from"]).to_numpy()
        terms.append(
            {
                "from": term["from"],
                "language": term["language"],
                "rows": int(own.sum()),
                "target_tokens": int(targets[own].sum()),
                "cut": int((own & (lost > 0) & ~dropped).sum()),
                "dropped": int((own & dropped).sum()),
                "lost_target_tokens": int(lost[own].sum()),
            }
        )
    return Encoded(encoded.select(np.flatnonzero(~dropped)), terms)


def check_lost(encoded: Encoded, most: str) -> None:
    """Raise XllmError where a dataset loses more than `most` of its target tokens, as in "2%"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", most)
    if match is None:
        raise XllmError(f"--max_lost {most}: it must be a percentage, as 2%")
    for term in encoded.terms:
        share = 100 * term["lost_target_tokens"] / term["target_tokens"]
        if share > float(match[1]):
            raise XllmError(
                f"{term['from']} loses {share:.2f} % of its target tokens, --max_lost allows {most}: "
                "raise --model_max_length, or leave long rows out"
            )


def _fingerprint(rows: datasets.Dataset, tokenizer: "PreTrainedTokenizerFast", template: str, max_length: int) -> str:
    """What determines the token ids, this file's code included: `datasets` takes a function of a module for unchanged
    as long as its name is."""
    code = [Path(path).read_bytes() for path in (__file__, prompts.__file__)]
    settings = tokenizer.backend_tokenizer.to_str(), tokenizer.eos_token_id, template, max_length
    return hashlib.sha256(repr((rows._fingerprint, settings, code)).encode()).hexdigest()[:32]


def encode_batch(
    batch: dict[str, list], tokenizer: "PreTrainedTokenizerFast", template: str, max_length: int
) -> dict[str, list]:
    """The columns of FEATURES for columns of records.

    A token is trained on if it begins at or after the first character of the response, and so is eos. That is the
    reference's mask: a token that straddles the boundary counts as prompt there too. A long row loses its end, eos
    included, as in the reference: an answer that was cut must not teach the model to stop there.
    """
    asked = [TEMPLATES[template](*pair) for pair in zip(batch["instruction"], batch["input"], strict=True)]
    texts = [prompt + output for prompt, output in zip(asked, batch["output"], strict=True)]
    backend = tokenizer.backend_tokenizer  # what `tokenizer` calls, without the columns that nobody reads here
    backend.no_padding()
    backend.no_truncation()
    columns: dict[str, list] = {"input_ids": [], "prompt_length": [], "lost": []}
    for prompt, text, encoding in zip(asked, texts, backend.encode_batch(texts), strict=True):
        ids = encoding.ids
        if not ids or ids[-1] != tokenizer.eos_token_id:  # some tokenizers add it themselves
            ids.append(tokenizer.eos_token_id)
        first = _first_token(encoding, len(prompt), len(text), len(ids) - 1)
        columns["input_ids"].append(ids[:max_length])
        columns["prompt_length"].append(first)
        columns["lost"].append(max(0, len(ids) - max(max_length, first)))
    return columns


def _first_token(encoding, start: int, end: int, eos: int) -> int:
    """The index of the first token that begins at character `start` or later; `eos` where no text is left."""
    for character in range(start, end):
        token = encoding.char_to_token(character)
        if token is not None and encoding.token_to_chars(token)[0] >= start:
            return token
    return eos
