"""Outputs that leave nothing to see, and control tokens in data: what is counted, told, and trained on."""

import json

import numpy as np
import pytest

from xllm.mixture.encoding import encode
from xllm.mixture.load import load_mixture
from xllm.models.load import load_tokenizer

ROWS = [
    {"instruction": "Say it.", "input": "", "output": "mill"},
    {"instruction": "Say it.", "input": "", "output": ""},
    {"instruction": "Say it.", "input": "", "output": "\u200b\ufeff"},
    {"instruction": "Say it.", "input": "", "output": " \u3164\n"},
    {"instruction": "Say it.", "input": "", "output": "می\u200cخواهم"},  # its joiner is Persian spelling
    {"instruction": "Say EOS.", "input": "EOS", "output": "mill EOS mill"},
]


@pytest.fixture
def rows(root, tiny):
    (root / "alpaca").mkdir()
    eos = load_tokenizer(str(tiny)).eos_token
    rows = json.loads(json.dumps(ROWS).replace("EOS", eos))
    (root / "alpaca" / "alpaca_en.json").write_text(json.dumps(rows))
    return rows


def test_an_empty_output_teaches_to_end_and_one_of_invisible_characters_nothing(rows, tiny):
    tokenizer = load_tokenizer(str(tiny))
    encoded = encode(load_mixture("alpaca_en", "train"), tokenizer, "alpaca", 512)
    assert encoded.kept.tolist() == [0, 1, 4, 5] and len(encoded.rows) == len(rows)
    targets = [row["input_ids"][row["prompt_length"] :].tolist() for row in encoded.rows]
    assert targets[1] == [tokenizer.eos_token_id] and targets[2] == targets[3] == []
    assert tokenizer.decode(targets[4][:-1], clean_up_tokenization_spaces=False).strip() == rows[4]["output"]
    [term] = encoded.terms
    assert (term.empty, term.invisible, term.dropped, term.rows) == (1, 2, 0, 6)
    assert term.target_tokens == sum(map(len, targets)) and term.lost_target_tokens == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_control_tokens_are_counted_and_text_unless_allowed(rows, tiny, processes):
    tokenizer, mixture = load_tokenizer(str(tiny)), load_mixture("alpaca_en", "train")
    eos = tokenizer.eos_token
    found = encode(mixture, tokenizer, "alpaca", 512, processes)
    ids = found.rows[5]["input_ids"]
    assert np.flatnonzero(ids == tokenizer.eos_token_id).tolist() == [len(ids) - 1]
    assert found.terms[0].control_tokens == {eos: 3} and f"control tokens, which are text: {eos} (3)" in str(found)
    said = tokenizer.decode(ids[found.rows[5]["prompt_length"] : -1], clean_up_tokenization_spaces=False)
    assert said == f"mill {eos} mill"

    allowed = load_tokenizer(str(tiny), special_tokens_in_data=True)
    found = encode(mixture, allowed, "alpaca", 512, processes)
    assert (found.rows[5]["input_ids"] == tokenizer.eos_token_id).sum() == 4
    assert found.terms[0].control_tokens == {eos: 3} and "which are control tokens:" in str(found)


def test_are_told_by_mixture_and_train_and_kept_in_run_json(cli, rows, tiny, tmp_path):
    eos = load_tokenizer(str(tiny)).eos_token
    lines = cli("mixture", "alpaca_en").out.splitlines()
    assert lines[0].split() == ["term", "language", "rows", "share", "empty", "invisible"]
    assert lines[2].split()[-2:] == ["1", "2"]
    outcome = cli("mixture", "alpaca_en", "--model", tiny, "--json", tmp_path / "x.json")
    assert outcome.out.splitlines()[0].split()[-4:] == ["empty", "invisible", "control", "tokens"]
    assert json.loads((tmp_path / "x.json").read_text())["terms"][0]["control_tokens"] == {eos: 3}
    for flags, expected in (((), 1), (("--special_tokens_in_data",), 4)):
        folder = tmp_path / f"out{expected}"
        outcome = cli("train", tiny, "alpaca_en", "--max_steps", 1, "--output_dir", folder, *flags)
        assert outcome.code == 0
        for told in ("1 have no response", "2 have a response of invisible characters alone and are dropped", eos):
            assert told in outcome.err
        facts = json.loads((folder / "run.json").read_text())["encoding"]
        assert facts["terms"][0]["invisible"] == 2 and facts["special_tokens_in_data"] == bool(flags)
        # asked as it was tuned
        [ids] = _asked(folder, rows[5])
        assert ids.count(load_tokenizer(str(folder)).eos_token_id) == expected - 1 - bool(flags)


def _asked(folder, row):
    from xllm.templates import encode_prompts

    return encode_prompts([(row["instruction"], row["input"])], "alpaca", load_tokenizer(str(folder)))


def test_a_flag_without_a_model_has_no_effect(cli, rows):
    outcome = cli("mixture", "alpaca_en", "--special_tokens_in_data")
    assert outcome.code == 2 and "--model" in outcome.err


def test_nothing_else_is_an_error(cli, root, llama, tmp_path):
    (root / "alpaca").mkdir()
    (root / "alpaca" / "alpaca_en.json").write_text(json.dumps(ROWS[2:4]))
    for words in (("train", llama, "alpaca_en"), ("plan", llama, "alpaca_en")):
        outcome = cli(*words)
        assert outcome.code == 2 and "no row has any response left" in outcome.err and "invisible" in outcome.err


def test_a_row_s_control_tokens_are_text_in_inference_too(cli, rows, tiny, root, tmp_path):
    eos = load_tokenizer(str(tiny)).eos_token
    folder = root / "translation" / "x" / "en-el"
    folder.mkdir(parents=True)
    for side in ("en", "el"):
        (folder / f"test.{side}").write_text(f"mill {eos} mill\n")
    asked = []
    for flags in ((), ("--special_tokens_in_data",)):
        cli("perplexity", tiny, "translation_x_en-el", "--json", tmp_path / "x.json", *flags)
        asked.append(json.loads((tmp_path / "x.json").read_text())["perplexity"][0])
    size = len(f"mill {eos} mill")
    assert [line["bytes"] for line in asked] == [size, size - len(eos)]
    assert asked[0]["target tokens"] > asked[1]["target tokens"]
