"""Token ids and labels are those of the reference, for a sentencepiece and for a byte-level BPE tokenizer."""

import datasets
import pytest

from xllm import models, prompts
from xllm.mixture import load_mixture
from xllm.mixture.encoding import encode, encode_batch

AWKWARD = [
    ("Say it.", "", "Plain."),
    ("Say it.", "", ""),
    ("Say it.", "", " leading space"),
    ("Say it.", "", "\n\nleading lines"),
    ("Say it.", "", '"quoted" (and) :colon'),
    ("Say it.", "中文", "龘𠀀 émoji 🙂 done\n"),
    ("Say {it}.", "a  b\t", "trailing space "),
    ("", "", "no instruction"),
]


def reference(tokenizer, record, max_length):
    """As the reference does it: the full text and the prompt are tokenized apart, and the prompt's length masked."""
    prompt = prompts.alpaca(record["instruction"], record["input"])
    full = tokenizer(prompt + record["output"] + tokenizer.eos_token, truncation=True, max_length=max_length)
    return full.input_ids, len(tokenizer(prompt).input_ids)


def check(tokenizer, rows, max_length=512):
    encoded = encode_batch(rows[:], tokenizer, "alpaca", max_length)
    for row, ids, length in zip(rows, encoded["input_ids"], encoded["prompt_length"], strict=True):
        assert (ids, length) == reference(tokenizer, row, max_length), row


@pytest.fixture
def tokenizer(tiny):
    return models.load_tokenizer(str(tiny))


def test_awkward_rows(tokenizer):
    columns = dict(zip(("instruction", "input", "output"), map(list, zip(*AWKWARD, strict=True)), strict=True))
    rows = datasets.Dataset.from_dict(columns)
    encoded = encode_batch(rows[:], tokenizer, "alpaca", 512)
    for row, ids, length in zip(rows, encoded["input_ids"], encoded["prompt_length"], strict=True):
        expected, prompt = reference(tokenizer, row, 512)
        assert ids == expected, row
        # where prompt and response share a token the reference's count is that of the prompt alone; the same here
        assert length == prompt, row


def test_the_sample(tokenizer, sample):
    check(tokenizer, load_mixture("alpaca_en+alpaca_zh+translation_daily_en-zh", "train").rows)


@pytest.mark.real
def test_real_rows(tokenizer, real):
    mixture = (
        "alpaca_en[:1500]+alpaca_zh[:500]+alpaca_de[:300]+translation_xnli_en-ar[:200]+translation_xnli_en-hi[:200]"
    )
    check(tokenizer, load_mixture(mixture, "train").rows)


def test_eos_is_trained_on_even_where_it_is_the_pad_token(tokenizer, sample):
    rows, _ = encode(load_mixture("alpaca_en[:20]", "train").rows, tokenizer, "alpaca", 512)
    assert all(
        row["input_ids"][-1] == tokenizer.eos_token_id and row["prompt_length"] < len(row["input_ids"]) for row in rows
    )


def test_long_rows_lose_their_end_and_rows_without_response_are_dropped_and_counted(tokenizer):
    texts = {"instruction": ["a", "a", "b " * 300], "input": [""] * 3, "output": ["short", "long " * 500, "lost"]}
    rows, counts = encode(datasets.Dataset.from_dict(texts), tokenizer, "alpaca", 256)
    assert counts == {"cut": 1, "dropped": 1}
    assert len(rows) == 2 and len(rows[1]["input_ids"]) == 256
    assert rows[1]["input_ids"][-1] != tokenizer.eos_token_id


def test_a_tokenizer_that_ends_texts_itself_gives_one_eos(llama):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(llama, add_bos_token=True, add_eos_token=True)
    row = {"instruction": ["a"], "input": [""], "output": ["b"]}
    plain = encode_batch(row, AutoTokenizer.from_pretrained(llama), "alpaca", 512)
    assert tokenizer("x").input_ids[-1] == tokenizer.eos_token_id
    assert encode_batch(row, tokenizer, "alpaca", 512) == plain
