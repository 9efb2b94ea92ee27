"""A tokenizer with more tokens than the model has embeddings for: told before training; in answering, the row's fault."""

import json
import shutil

import pytest
from transformers import AutoTokenizer

from xllm.files import read_jsonl

ROWS = [
    {"instruction": "Say it.", "input": "", "output": "Yes."},
    {"instruction": "Say zyxwv.", "input": "", "output": "zyxwv"},
    {"instruction": "Say it again.", "input": "", "output": "Yes."},
]


@pytest.fixture
def beyond(llama, tmp_path, root):
    """A model whose tokenizer alone knows `zyxwv`, and a data root of which one row has that."""
    model = shutil.copytree(llama, tmp_path / "beyond")
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_tokens(["zyxwv"])
    tokenizer.save_pretrained(model)
    (root / "alpaca").mkdir()
    (root / "alpaca" / "alpaca_en.json").write_text(json.dumps(ROWS))
    return model


def test_it_is_told_before_training_and_in_perplexity(cli, beyond, tmp_path):
    for words in (
        ("train", beyond, "alpaca_en", "--output_dir", tmp_path / "tuned"),
        ("train", beyond, "alpaca_en", "--output_dir", tmp_path / "tuned", "--prepare_only"),
        ("plan", beyond, "alpaca_en"),
        ("perplexity", beyond, "alpaca_en", "--split", "train"),
    ):
        outcome = cli(*words)
        assert outcome.code == 2 and "embeddings for 1200 tokens" in outcome.err, outcome.err
        assert "Traceback" not in outcome.err and not (tmp_path / "tuned").exists()
    assert "alpaca_en/1 holds token 1200" in cli("plan", beyond, "alpaca_en").err
    assert cli("plan", beyond, "alpaca_en[:1]").code == 0


def test_in_answering_the_row_fails_alone(cli, beyond):
    outcome = cli("infer", beyond, "alpaca_en", "--split", "train", "--max_new_tokens", "2")
    assert outcome.code == 3 and "1 of 3 rows failed" in outcome.err
    rows = read_jsonl(beyond / "test" / "alpaca_en.inference.jsonl")
    assert [row.get("failed") for row in rows] == [
        None,
        "token 1200 of the prompt or a label; the model has embeddings for 1200 tokens",
        None,
    ]


def test_a_label_beyond_is_the_row_s_fault_too(cli, beyond):
    outcome = cli("infer", beyond, "alpaca_en[:1]", "--split", "train", "--labels", "Yes.", "zyxwv")
    assert outcome.code == 3 and "1 of 1 rows failed" in outcome.err
