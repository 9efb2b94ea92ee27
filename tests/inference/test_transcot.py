"""Answers by way of English."""

import shutil

import pytest

from xllm.files import read_jsonl
from xllm.inference import transcot
from xllm.mixture.load import load_mixture


@pytest.fixture
def model(llama, tmp_path):
    return shutil.copytree(llama, tmp_path / "model")


def english(rows, mixture):
    """Every line that is asked for, translated so that it can be told."""
    return {key: f"«{line}»" for key, (_, line) in transcot.questions(rows, mixture).items()}


@pytest.fixture
def translated(sample):
    def run(dataset, split="test"):
        mixture = load_mixture(dataset, split)
        rows = list(mixture)
        found = english(rows, mixture)
        return rows, [transcot.translated(row, mixture, found) for row in rows]

    return run


def test_each_line_is_translated_once(translated, sample):
    rows, done = translated("xquad_zh")
    for before, after in zip(rows, done, strict=True):
        assert after["original_input"] == before["input"]
        assert after["input"] == "\n".join(f"«{line}»" for line in before["input"].split("\n"))
        assert after["instruction"] == before["instruction"] and after["output"] == before["output"]
    mixture = load_mixture("xquad_zh", "test")
    asked = transcot.questions(rows, mixture)
    assert len(asked) == len({line for row in rows for line in row["input"].split("\n")}) < 3 * len(rows)
    assert {instruction for instruction, _ in asked.values()} == {"Translate the text below from Chinese into English."}


def test_letters_and_examples_are_left_alone(translated):
    rows, done = translated("ceval_all", "validation")
    for before, after in zip(rows, done, strict=True):
        *examples, question = before["input"].split("\n\n")
        *kept, changed = after["input"].split("\n\n")
        assert len(examples) == 5 and kept == examples
        lines = zip(question.split("\n")[1:5], changed.split("\n")[1:5], strict=True)
        assert all(new == f"{old[:3]}«{old[3:]}»" for old, new in lines)


def test_what_is_answered_word_for_word_is_left_alone(translated):
    rows, done = translated("xcopa_zh")
    for before, after in zip(rows, done, strict=True):
        assert after["input"].split("\n")[1:] == before["input"].split("\n")[1:]
        assert after["input"].split("\n")[0] == f"«{before['input'].split(chr(10))[0]}»"


def test_what_could_not_be_translated_stays(sample):
    mixture = load_mixture("xquad_zh[:1]", "test")
    assert transcot.translated(mixture[0], mixture, {})["input"] == mixture[0]["input"]


def test_the_model_translates_and_then_answers(cli, sample, model):
    assert cli("infer", model, "xquad_zh[:4]", "--transcot", "--max_new_tokens", "6").code == 0
    rows = read_jsonl(model / "test" / "xquad_zh.first4.inference.jsonl")
    translations = {}
    for row in rows:
        before, after = row["original_input"].split("\n"), row["input"].split("\n")
        for line, own in zip(before, after, strict=True):
            assert translations.setdefault(line, own) == own  # the same line, the same English
    assert any(line != own for line, own in translations.items())
    assert cli("infer", model, "xquad_zh[:4]", "--max_new_tokens", "6", "--overwrite").code == 0
    plain = read_jsonl(model / "test" / "xquad_zh.first4.inference.jsonl")
    assert [row["input"] for row in plain] == [row["original_input"] for row in rows]
