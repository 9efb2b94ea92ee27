"""Perplexity is that of the target tokens."""

import json
import math
import unicodedata

import pytest
import torch

from tests.conftest import save_llama
from tests.vocabularies import FAMILIES, family
from xllm.boundary import encode_pairs, encode_prompts
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


LINES = ["Nora: the neutral 中文 12", "🙂", "naïve e\u0301 a\u200d", "12", "</s>", "Anna <s>:N 的<0x41>"]
BYTES = sum(len(line.encode()) for line in LINES)


@pytest.mark.parametrize(("name", "bos"), [(name, "<s>") for name in FAMILIES] + [("qwen", None)])
def test_every_byte_of_a_text_is_of_a_token_that_is_scored_and_no_other(cli, root, tmp_path, name, bos):
    """The first token has bos before it, or eos where there is no bos; bytes of half a character count once."""
    tokenizer = family(name)
    tokenizer.bos_token = bos
    save_llama(tmp_path / "model", tokenizer)
    (root / "text").mkdir()
    (root / "text" / "news_en.txt").write_text("\n".join(LINES))
    words = ("perplexity", tmp_path / "model", "text_news_en", "--template", "text", "--split", "train", "--json")
    assert cli(*words, tmp_path / "x.json").code == 0
    [found] = read_json(tmp_path / "x.json")["perplexity"]

    plain, front = load_model(str(tmp_path / "model"), torch.float32), tokenizer.bos_token_id
    front = tokenizer.eos_token_id if front is None else front
    total = count = 0
    for line in LINES:
        [pair] = encode_pairs([""], [line], tokenizer, chat=False)
        own = pair.ids[pair.start :]
        assert tokenizer.eos_token_id not in own
        ids = torch.tensor([[front, *own, tokenizer.eos_token_id]])
        with torch.no_grad():
            said = plain(ids).logits[0].log_softmax(-1)
        total += sum(float(said[place - 1, ids[0, place]]) for place in range(1, ids.shape[1]))
        count += ids.shape[1] - 1
        if name in ("qwen", "gpt2"):  # a letter of their tokens is a byte
            assert sum(map(len, tokenizer.convert_ids_to_tokens(own))) == len(nfc(line, name).encode())
    assert (found["rows"], found["target tokens"], found["bytes"]) == (len(LINES), count, BYTES)
    assert found["perplexity a token"] == pytest.approx(math.exp(-total / count), rel=1e-4)
    assert found["perplexity a byte"] == pytest.approx(math.exp(-total / BYTES), rel=1e-4)


def nfc(text, name):
    return unicodedata.normalize("NFC", text) if name == "qwen" else text


def test_an_answer_s_bytes_are_those_of_its_own_tokens(cli, root, tmp_path):
    """The prompt ends in a colon, and the vocabulary has ":N", ":A" and ":🙂"."""
    tokenizer = family("qwen")
    save_llama(tmp_path / "model", tokenizer)
    (root / "alpaca").mkdir()
    outputs = ["Nora", "Anna", "🙂", " Nora", '"', "\n", ""]
    rows = [{"instruction": "Who?", "input": "", "output": output} for output in outputs]
    (root / "alpaca" / "alpaca_en.json").write_text(json.dumps(rows))
    words = ("perplexity", tmp_path / "model", "alpaca_en", "--split", "train", "--json")
    assert cli(*words, tmp_path / "x.json").code == 0
    [found] = read_json(tmp_path / "x.json")["perplexity"]
    [prompt] = encode_prompts([alpaca("Who?", "")], tokenizer, chat=False)
    plain, total, count = load_model(str(tmp_path / "model"), torch.float32), 0.0, 0
    for output in outputs[:5]:
        own = tokenizer(output, add_special_tokens=False).input_ids
        ids = torch.tensor([[*prompt, *own, tokenizer.eos_token_id]])
        with torch.no_grad():
            said = plain(ids).logits[0].log_softmax(-1)
        total += sum(float(said[place - 1, ids[0, place]]) for place in range(len(prompt), ids.shape[1]))
        count += len(own) + 1
    assert (found["rows"], found["target tokens"]) == (5, count)
    assert found["bytes"] == sum(len(output.encode()) for output in outputs[:5]) == 4 + 4 + 4 + 5 + 1
    assert found["perplexity a byte"] == pytest.approx(math.exp(-total / found["bytes"]), rel=1e-4)


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
