"""Our loading scripts, on the sample data and on the real sets."""

import json

import pytest

from xllm import prompts
from xllm.errors import XllmError
from xllm.mixture.load import load_mixture

STRINGS = ["id", "instruction", "input", "output", "from"]


def test_alpaca(sample):
    rows = list(load_mixture("alpaca_zh", "train"))
    raw = json.loads((sample / "alpaca" / "alpaca_zh.json").read_text())
    assert list(rows[0]) == STRINGS
    assert [{k: row[k] for k in raw[0]} for row in rows] == raw
    assert [row["id"] for row in rows] == [str(i) for i in range(len(raw))]


def test_translation_goes_through_the_wordings_in_training_and_takes_the_first_in_testing(sample):
    train, test = (list(load_mixture("translation_daily_en-zh", split)) for split in ("train", "test"))
    assert list(train[0]) == STRINGS
    assert len({row["instruction"] for row in train}) == len(prompts.TRANSLATION) >= 30
    assert {row["instruction"] for row in test} == {"Translate the text below from English into Chinese."}
    folder = sample / "translation" / "daily" / "en-zh"
    assert [row["input"] for row in test] == (folder / "test.en").read_text().splitlines()
    assert [row["output"] for row in test] == (folder / "test.zh").read_text().splitlines()


def test_a_pair_with_an_empty_side_is_left_out_and_rows_keep_their_wording(root):
    folder = root / "translation" / "x" / "en-el"
    folder.mkdir(parents=True)
    # U+2028 belongs to the sentence: only \n ends a line
    (folder / "train.en").write_text("one\n\nthree\u2028still three\nfour\n\ufeff\n")
    (folder / "train.el").write_bytes("ένα\r\nδύο\r\nτρία\r\nτέσσερα\r\nπέντε".encode())
    rows = list(load_mixture("translation_x_en-el", "train"))
    assert [row["id"] for row in rows] == ["0", "2", "3"]
    assert rows[1]["input"] == "three\u2028still three"
    assert [row["output"] for row in rows] == ["ένα", "τρία", "τέσσερα"]
    assert rows[1]["instruction"] == prompts.TRANSLATION[2].format(source="English", target="Greek")


def test_xquad_asks_in_the_language_of_the_question_and_keeps_all_answers(sample):
    rows = list(load_mixture("xquad_zh", "test"))
    assert list(rows[0]) == [*STRINGS[:4], "answers", "from"]
    assert rows[0]["instruction"] == "请用上下文中的原文回答问题。"
    assert rows[0]["input"].startswith("上下文：") and rows[0]["input"].endswith("\n答案：")
    assert all(row["output"] == row["answers"][0] for row in rows)
    assert max(len(row["answers"]) for row in rows) > 1


@pytest.mark.parametrize(
    ("config", "context", "wording"),
    [("zh", "上下文：", "请用"), ("zh-en", "Context: ", "Answer"), ("en-zh", "上下文：", "请用")],
)
def test_mlqa_words_the_question_in_its_own_language(sample, config, context, wording):
    mixture = load_mixture(f"mlqa_{config}", "test")
    assert mixture[0]["input"].startswith(context)
    assert mixture[0]["instruction"].startswith(wording)
    assert mixture.terms[0].language == config.split("-")[0]  # answers are spans of the context


def test_mieval_has_no_answers(sample):
    rows = list(load_mixture("mieval_en", "test"))
    assert list(rows[0]) == STRINGS
    assert {row["output"] for row in rows} == {""} and len(rows) == 12


def test_train_and_held_out_rows_of_the_sample_do_not_overlap(sample):
    train = list(load_mixture("translation_daily_en-zh+alpaca_en+alpaca_zh", "train"))
    test = list(load_mixture("translation_daily_en-zh+xquad_en+xquad_zh", "test"))
    assert not {row["input"] for row in train} & {row["input"] for row in test}
    contexts = {row["input"].split("\n")[0] for row in test}
    assert not any(row["input"].split("\n")[0] in contexts for row in train if row["input"])


def test_unequal_line_counts_are_an_error_that_counts(root):
    folder = root / "translation" / "x" / "en-zh"
    folder.mkdir(parents=True)
    (folder / "train.en").write_text("a\nb\nc\n")
    (folder / "train.zh").write_text("一\n")
    with pytest.raises(XllmError, match=r"train\.en has 3, .*train\.zh has 1"):
        load_mixture("translation_x_en-zh", "train")


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(
    ("term", "split", "rows"),
    [
        ("alpaca_en", "train", 52002),
        ("alpaca_zh", "train", 20465),
        ("translation_xnli_en-ar", "train", 9500),
        ("translation_xnli_en-vi", "validation", 500),
        ("translation_flores_el-en", "test", 997),
        ("xquad_ar", "test", 1190),
        ("xquad_el", "test", 1190),
        ("xquad_hi", "test", 1190),
        ("xquad_tr", "test", 1190),
        ("mlqa_zh", "test", 504),
        ("mlqa_en", "test", 1148),
        ("mieval_es", "test", 100),
        ("xnli_zh", "validation", 2490),
        ("xnli_el", "validation", 2490),
        ("pawsx_en", "validation", 2000),
        ("pawsx_de", "validation", 2000),
        ("xcopa_zh", "test", 500),
        ("xcopa_zh", "validation", 100),
    ],
)
def test_real_sets_have_the_rows_they_should(real, term, split, rows):
    assert len(load_mixture(term, split)) == rows
