"""Folders that name special tokens by empty texts, as the first conversions of LLaMA do."""

import json
import shutil

import pytest

from xllm.files import read_json
from xllm.models.load import load_tokenizer

TEXT = "Hi there </s> x"
NAMES = ("bos_token", "eos_token", "unk_token")
EMPTY, GOOD = dict.fromkeys(NAMES, ""), dict(zip(NAMES, ("<s>", "</s>", "<unk>"), strict=True))
DICTS = {name: {"content": "", "lstrip": False, "normalized": True, "rstrip": False} for name in NAMES}
LLAMA = {"tokenizer_class": "LlamaTokenizer"}


@pytest.fixture
def folder(llama, tmp_path):
    """A copy of a LLaMA folder with other settings of its tokenizer, from sentencepiece's file or from tokenizer.json."""

    def make(config, tokens=None, file="tokenizer.model"):
        folder = shutil.copytree(llama, tmp_path / "model")
        for name in {"tokenizer.model", "tokenizer.json", "tokenizer_config.json"} - {file}:
            (folder / name).unlink()
        for name, settings in (("tokenizer_config.json", config), ("special_tokens_map.json", tokens)):
            if settings is not None:
                (folder / name).write_text(json.dumps(settings))
        return folder

    return make


@pytest.mark.parametrize(
    ("config", "tokens", "file"),
    [
        (EMPTY | {"tokenizer_class": "LLaMATokenizer", "model_max_length": 1e30}, {}, "tokenizer.model"),
        (EMPTY | LLAMA, {}, "tokenizer.model"),
        (EMPTY | LLAMA, None, "tokenizer.json"),
        (EMPTY | {"tokenizer_class": "LlamaTokenizerFast"}, None, "tokenizer.json"),
        (LLAMA, EMPTY, "tokenizer.model"),
        (LLAMA | GOOD, EMPTY, "tokenizer.model"),
        (LLAMA | EMPTY, GOOD, "tokenizer.model"),
        (LLAMA | DICTS, None, "tokenizer.model"),
        (LLAMA, DICTS, "tokenizer.model"),
        (LLAMA | dict.fromkeys(NAMES), None, "tokenizer.model"),
        (LLAMA | {"eos_token": ""}, None, "tokenizer.model"),
        (EMPTY, None, "tokenizer.model"),
        (None, EMPTY, "tokenizer.model"),
        (LLAMA | GOOD | {"pad_token": ""}, None, "tokenizer.json"),
        (LLAMA | GOOD | {"pad_token": {"content": ""}, "additional_special_tokens": [""]}, None, "tokenizer.model"),
    ],
)
def test_llama_s_own_tokens_take_the_place_of_empty_ones(folder, llama, capsys, config, tokens, file):
    model = folder(config, tokens, file)
    tokenizer = load_tokenizer(str(model))
    assert {name: getattr(tokenizer, name) for name in NAMES} == GOOD and tokenizer.pad_token is None
    assert "" not in tokenizer.all_special_tokens
    assert tokenizer(TEXT).input_ids == load_tokenizer(str(llama))(TEXT).input_ids
    [told] = capsys.readouterr().err.splitlines()
    assert told.startswith(f"{model} has empty special tokens in ") and "taken instead: " in told
    load_tokenizer(str(model))
    assert not capsys.readouterr().err  # once is enough


@pytest.mark.parametrize("config", [None, {}, {"tokenizer_class": "LLaMATokenizer"} | GOOD])
def test_a_sentencepiece_file_of_llama_is_read_as_llama_s_whatever_names_it(folder, llama, capsys, config):
    tokenizer = load_tokenizer(str(folder(config)))
    assert tokenizer(TEXT).input_ids == load_tokenizer(str(llama))(TEXT).input_ids and not capsys.readouterr().err


def test_null_by_purpose_stays(folder):
    assert load_tokenizer(str(folder(LLAMA | GOOD | {"bos_token": None}, None, "tokenizer.json"))).bos_token is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (EMPTY | {"tokenizer_class": "PreTrainedTokenizerFast"}, "set eos_token in tokenizer_config.json"),
        (GOOD | {"tokenizer_class": "GPT2Tokenizer", "eos_token": None}, "set eos_token in tokenizer_config.json"),
    ],
)
def test_of_another_class_it_is_named_what_to_set(folder, cli, config, message):
    outcome = cli("infer", folder(config, None, "tokenizer.json"), "xquad_zh")
    assert outcome.code == 2 and outcome.err.count("\n") == 1 and message in outcome.err


def test_a_vocabulary_without_llama_s_tokens_gets_none(folder, cli):
    model = folder(EMPTY | LLAMA, None, "tokenizer.json")
    text = (model / "tokenizer.json").read_text().replace('"</s>"', '"<end>"')
    (model / "tokenizer.json").write_text(text)
    outcome = cli("infer", model, "xquad_zh")
    assert outcome.code == 2 and "has no </s>; set eos_token in tokenizer_config.json" in outcome.err


def test_a_first_conversion_of_llama_is_tuned_and_answers(folder, cli, sample, tmp_path):
    """With ids in its configurations that aren't its tokenizer's."""
    model = folder(EMPTY | {"tokenizer_class": "LLaMATokenizer"}, {})
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": -1}
    for name, own in (("config.json", ids), ("generation_config.json", ids | {"pad_token_id": 0})):
        (model / name).write_text(json.dumps(read_json(model / name) | own))
    assert cli("train", model, "alpaca_en[:4]", "--max_steps", "1", "--output_dir", tmp_path / "tuned").code == 0
    assert load_tokenizer(str(tmp_path / "tuned")).eos_token_id == 2
    for own in (model, tmp_path / "tuned"):
        assert cli("infer", own, "xquad_zh[:2]", "--max_new_tokens", "2").code == 0
