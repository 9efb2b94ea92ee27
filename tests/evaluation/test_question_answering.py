"""Exact match and F1, by language. The expected values follow from the official MLQA scorer's rules."""

import pytest

from xllm.evaluation.question_answering import exact_match, f1, normalise


@pytest.mark.parametrize(
    ("language", "text", "normalised"),
    [
        ("en", "The  Cat, sat. On an apple!", "cat sat on apple"),
        ("en", "308", "308"),
        ("en", "$1,200", "1200"),
        ("de", "Die Katze und der Hund", "katze und hund"),
        ("es", "¿Los gatos?", "gatos"),
        ("vi", "Những con mèo của tôi", "con mèo tôi"),
        ("ar", "القطة، والكلب", "قطة و كلب"),
        ("hi", "दिल्ली।", "दिल्ली"),
        ("zh", "308分，第六。", "308 分 第 六"),
        ("zh", "NFL 职业碗", "nfl 职 业 碗"),
        ("zh-Hant", "職業碗", "職 業 碗"),
        ("el", "Η γάτα", "γάτα"),
        ("ru", "«Кошка»", "кошка"),
        ("tr", "bir kedi", "kedi"),
        ("ro", "o pisică", "pisică"),
        ("th", "แมว ดำ", "แ ม ว ด ำ"),
        ("ja", "猫のNo.1", "猫 の no1"),
        ("en", "", ""),
    ],
)
def test_normalises_by_language(language, text, normalised):
    assert normalise(text, language) == normalised


@pytest.mark.parametrize(
    ("language", "prediction", "golds", "exact", "score"),
    [
        ("en", "the Bell House.", ["Bell House"], 100, 100),
        ("en", "Bell", ["Bell House"], 0, 200 / 3),
        ("en", "in 1864", ["1864", "in 1864"], 100, 100),
        ("en", "1864", ["in the year 1864", "1864"], 100, 100),
        ("en", "", ["1864"], 0, 0),
        ("en", "When was Veldmoor founded?", ["1864"], 0, 0),
        ("zh", "塔恩河", ["塔恩河东岸"], 0, 75),
        ("zh", "１８６４年", ["1864年"], 0, 50),  # the official scorer knows nothing of full-width digits
        ("en", "House House", ["Bell House"], 0, 50),
    ],
)
def test_scores_against_the_best_gold_answer(language, prediction, golds, exact, score):
    assert exact_match(prediction, golds, language) == exact
    assert f1(prediction, golds, language) == pytest.approx(score)
