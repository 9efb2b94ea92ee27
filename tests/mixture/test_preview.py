"""`python -m xllm preview`: what it shows is what is trained on."""

import re

import pytest


def test_shows_text_and_tokens_masked_and_trained_apart(cli, sample, tiny):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    out = cli("preview", "translation_daily_en-zh[:1]", "--model", tiny, "-n", "1").out
    masked, trained = re.search(r"masked, \d+ tokens\n(.*)\ntrained, \d+ tokens\n(.*)\n─", out, re.DOTALL).groups()
    english, chinese = (
        (sample / "translation/daily/en-zh" / f"train.{c}").read_text().split("\n")[0] for c in ("en", "zh")
    )
    assert english in masked and "### Response:" in masked and chinese not in masked
    text, tokens = trained.split("\n")
    assert text == chinese + tokenizer.eos_token
    ids = [int(number) for number in re.findall(r"\((\d+)\)(?= |$)", tokens)]
    assert tokenizer.decode(ids) == text and ids[-1] == tokenizer.eos_token_id


def test_spreads_its_rows_and_counts_all_lengths(cli, sample, llama, tmp_path):
    words = (
        "preview",
        "alpaca_en+alpaca_zh",
        "--model",
        llama,
        "--model_max_length",
        "128",
        "--html",
        tmp_path / "page.html",
    )
    out = cli(*words, "-n", "4").out
    assert len(re.findall(r"row \d+, [^ ]+: \d+ tokens", out)) == 4 and "more are cut off" in out
    counts = [int(n.replace(",", "")) for n in re.findall(r"–\s+\d+\s+([\d,]+)", out)]
    dropped = int(cli("mixture", *words[1:6]).out.splitlines()[-1].split()[8])
    assert sum(counts) == 180 - dropped
    page = (tmp_path / "page.html").read_text()
    assert "### Response:" in page and page.count("tokens</span>") >= 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["alpaca_en"], "preview needs --model"),
        (["alpaca_en", "--model", "x", "-n", "0"], "--n 0: it must be a whole number, 1 or more"),
        (["alpaca_en", "--model", "x", "-m", "0"], "unknown flag '-m'"),
        (["alpaca_en", "--model", "nowhere"], "unknown model 'nowhere'"),
    ],
)
def test_mistakes_are_one_line(cli, sample, words, message):
    outcome = cli("preview", *words)
    assert outcome.code == 2 and message in outcome.err and not outcome.out
