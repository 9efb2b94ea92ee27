"""Names and segmentation of languages."""

import pytest

from xllm import languages
from xllm.errors import XllmError


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("el", "Greek"),
        ("zh", "Chinese"),
        ("ar", "Arabic"),
        ("hi", "Hindi"),
        ("sw", "Swahili"),
        ("zh-Hant", "Traditional Chinese"),
    ],
)
def test_languages_have_the_names_that_people_use(code, name):
    assert languages.name(code) == name


def test_an_unknown_code_is_refused():
    with pytest.raises(XllmError, match="unknown language code 'qq'"):
        languages.name("qq")


@pytest.mark.parametrize(("code", "tokenizer"), [("zh", "zh"), ("zh-Hant", "zh"), ("th", "char"), ("el", "13a")])
def test_bleu_is_tokenized_by_language(code, tokenizer):
    assert languages.bleu_tokenizer(code) == tokenizer


@pytest.mark.parametrize(("code", "short"), [("zho", "zh"), ("arb", "ar"), ("npi", "ne"), ("ckb", "ckb"), ("zh", "zh")])
def test_a_language_has_one_code_in_use(code, short):
    assert languages.short(code) == short
