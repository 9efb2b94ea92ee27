"""From records to token ids: prompt and response tokenized as one text, and how many of the tokens are prompt."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import datasets

from xllm import prompts
from xllm.prompts import TEMPLATES

if TYPE_CHECKING:  # mixing does without transformers until there is something to tokenize
    from transformers import PreTrainedTokenizerFast

INTEGER = datasets.Value("int32")
FEATURES = datasets.Features({"input_ids": datasets.List(INTEGER), "prompt_length": INTEGER})


def encode(
    rows: datasets.Dataset, tokenizer: "PreTrainedTokenizerFast", template: str, max_length: int
) -> tuple[datasets.Dataset, dict[str, int]]:
    """Encode records for training.

    Args:
        rows: records; `template` is a key of TEMPLATES, `max_length` counts tokens.

    Returns:
        A dataset of `input_ids` (prompt, response, eos; cut at `max_length`) and `prompt_length` (the leading tokens
        that aren't trained on), and the counts of rows that were `cut` and of rows that were `dropped` because no
        response was left of them.
    """
    encoded = rows.map(
        encode_batch,
        batched=True,
        remove_columns=rows.column_names,
        features=FEATURES,
        fn_kwargs={"tokenizer": tokenizer, "template": template, "max_length": max_length},
        desc="tokenizing",
        new_fingerprint=_fingerprint(rows, tokenizer, template, max_length),
    ).with_format("numpy")
    kept = encoded.select([i for i, length in enumerate(encoded["prompt_length"]) if length < max_length])
    cut = sum(int(ids[-1]) != tokenizer.eos_token_id for ids in kept["input_ids"])
    return kept, {"cut": cut, "dropped": len(encoded) - len(kept)}


def _fingerprint(rows: datasets.Dataset, tokenizer: "PreTrainedTokenizerFast", template: str, max_length: int) -> str:
    """What determines the token ids, this file's code included: `datasets` takes a function of a module for unchanged
    as long as its name is."""
    code = [Path(path).read_bytes() for path in (__file__, prompts.__file__)]
    settings = tokenizer.backend_tokenizer.to_str(), tokenizer.eos_token_id, template, max_length
    return hashlib.sha256(repr((rows._fingerprint, settings, code)).encode()).hexdigest()[:32]


def encode_batch(
    batch: dict[str, list], tokenizer: "PreTrainedTokenizerFast", template: str, max_length: int
) -> dict[str, list]:
    """Token ids and prompt lengths for columns of records.

    A token is trained on if it begins at or after the first character of the response, and so is eos. That is the
    reference's mask: a token that straddles the boundary counts as prompt there too. A long row loses its end, eos
    included, as in the reference: an answer that was cut must not teach the model to stop there.
    """
    asked = [TEMPLATES[template](*pair) for pair in zip(batch["instruction"], batch["input"], strict=True)]
    texts = [prompt + output for prompt, output in zip(asked, batch["output"], strict=True)]
    encodings = tokenizer(texts)
    ids, prompt_lengths = encodings["input_ids"], []
    for row, (prompt, text) in enumerate(zip(asked, texts, strict=True)):
        if not ids[row] or ids[row][-1] != tokenizer.eos_token_id:  # some tokenizers add it themselves
            ids[row].append(tokenizer.eos_token_id)
        prompt_lengths.append(_first_token(encodings, row, len(prompt), len(text), len(ids[row]) - 1))
    return {"input_ids": [row[:max_length] for row in ids], "prompt_length": prompt_lengths}


def _first_token(encodings, row: int, start: int, end: int, eos: int) -> int:
    """The index of the first token that begins at character `start` or later; `eos` where no text is left."""
    for character in range(start, end):
        token = encodings.char_to_token(row, character)
        if token is not None and encodings.token_to_chars(row, token).start >= start:
            return token
    return eos
