"""Perplexity is that of the target tokens."""

import math

import pytest
import torch

from xllm.files import read_json
from xllm.models.load import load_model, load_tokenizer
from xllm.templates import alpaca


def by_hand(model, rows, prompt_of):
    """The sum of the targets' log-probabilities, one row at a time, and how many there are."""
    plain, tokenizer = load_model(str(model), torch.float32), load_tokenizer(str(model))
    total = count = 0
    for row in rows:
        prompt = prompt_of(row)
        start = max(1, len(tokenizer(prompt).input_ids)) if prompt else 1
        ids = torch.tensor([[*tokenizer(prompt + row["output"]).input_ids, tokenizer.eos_token_id]])
        with torch.no_grad():
            said = plain(ids).logits[0].log_softmax(-1)
        total += sum(float(said[place - 1, ids[0, place]]) for place in range(start, ids.shape[1]))
        count += ids.shape[1] - start
    return total, count


@pytest.mark.slow
def test_is_that_of_the_target_tokens_and_of_the_bytes(cli, tiny, sample, tmp_path):
    from xllm.mixture.load import load_mixture

    text = "translation_daily_en-zh[:9]+xquad_en[:4]"
    outcome = cli("perplexity", tiny, text, "--json", tmp_path / "found.json")
    assert outcome.code == 0 and "perplexity a byte" in outcome.out
    found = {line["dataset"]: line for line in read_json(tmp_path / "found.json")["perplexity"]}
    for name, own in found.items():
        rows = [row for row in load_mixture(text, "test") if row["from"] == name]
        total, count = by_hand(tiny, rows, lambda row: alpaca(row["instruction"], row["input"]))
        size = sum(len(row["output"].encode()) for row in rows)
        assert (own["rows"], own["target tokens"], own["bytes"]) == (len(rows), count, size)
        assert own["perplexity a token"] == pytest.approx(math.exp(-total / count), rel=1e-4)
        assert own["perplexity a byte"] == pytest.approx(math.exp(-total / size), rel=1e-4)


def test_rows_beyond_the_window_are_counted(cli, llama, root, tmp_path):
    (root / "text").mkdir()
    (root / "text" / "news_en.txt").write_text("The river runs past the mill.\n" + "mill " * 900 + "\n")
    words = (
        "perplexity",
        llama,
        "text_news_en",
        "--template",
        "text",
        "--split",
        "train",
        "--json",
        tmp_path / "x.json",
    )
    assert cli(*words).code == 0
    [line] = read_json(tmp_path / "x.json")["perplexity"]
    assert (line["rows"], line["too long"]) == (1, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mieval_en"], "no row of mieval_en has an output"),
        (["xquad_en", "--template", "talk"], "unknown value of --template 'talk'"),
        (["xquad_en", "--split", "train"], "unknown split 'train'"),
    ],
)
def test_mistakes_are_one_line(cli, llama, sample, words, message):
    outcome = cli("perplexity", llama, *words)
    assert outcome.code == 2 and message in outcome.err and not outcome.out
