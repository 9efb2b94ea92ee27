"""Which two languages a config names, with scripts and regions."""

import json

import pytest

from xllm import languages
from xllm.errors import XllmError
from xllm.files import write_jsonl
from xllm.loading import pairs
from xllm.mixture.load import load_mixture


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ("flores_en-zh", ("flores", "en", "zh")),
        ("x_zh-Hant-en", ("x", "zh-Hant", "en")),
        ("x_en-zh-Hans", ("x", "en", "zh-Hans")),
        ("x_zh-Hans-zh-Hant", ("x", "zh-Hans", "zh-Hant")),
        ("x_zh-Hant-HK-en", ("x", "zh-Hant-HK", "en")),
        ("x_pt_BR-en", ("x", "pt_BR", "en")),
        ("x_en-pt_BR", ("x", "en", "pt_BR")),
        ("x_pt-BR-en", ("x", "pt-BR", "en")),
        ("x_en-pt-BR", ("x", "en", "pt-BR")),
        ("x_pt-br-en", ("x", "pt-br", "en")),  # EN is no region
        ("x_y_en_US-zh_CN", ("x_y", "en_US", "zh_CN")),
        ("flores_eng_Latn-zho_Hans", ("flores", "eng_Latn", "zho_Hans")),
        ("x_sr-Latn-en", ("x", "sr-Latn", "en")),
        ("x_sr_latn-en", ("x", "sr_latn", "en")),
        ("x_mni-Mtei-en", ("x", "mni-Mtei", "en")),
        ("x_es-419-en", ("x", "es-419", "en")),
        ("x_en-es-419", ("x", "en", "es-419")),
        ("x_en-zh-yue", ("x", "en", "zh-yue")),
        ("x_en-yue-Hant-HK", ("x", "en", "yue-Hant-HK")),
        ("x_en-de-CH-1901", ("x", "en", "de-CH-1901")),
        ("x_ca-valencia-en", ("x", "ca-valencia", "en")),
        ("x_fr-CA-es", ("x", "fr-CA", "es")),
        ("x_fr-ca-ES", ("x", "fr", "ca-ES")),
        # what stands before the pair may look like a language, or hold the signs
        ("wiki_uk_en-zh", ("wiki_uk", "en", "zh")),
        ("wiki_en_en-zh", ("wiki_en", "en", "zh")),
        ("my-set_v2_en-zh", ("my-set_v2", "en", "zh")),
        ("EN_EN-ZH", ("EN", "EN", "ZH")),
        ("x_en-qq", ("x", "en", "qq")),  # none is known; the name of it is asked for later
        *(
            (config, None)
            for config in ("x_enzh", "en-zh", "_en-zh", "x_en-", "x_-zh", "x_english-chinese", "x_en-z", "")
        ),
    ],
)
def test_a_pair_is_told_apart_with_scripts_and_regions(config, found):
    assert pairs.read(config) == found


@pytest.mark.parametrize(
    ("config", "one", "other"),
    [
        ("x_fr-ca-es", "fr to ca-es of x", "fr-ca to es of x"),
        ("x_en-pt-br", "en to pt-br of x", "en-pt to br of x"),
    ],
)
def test_a_pair_that_can_be_read_in_two_ways_is_refused_with_both(config, one, other):
    with pytest.raises(XllmError, match="can be read as") as told:
        pairs.read(config)
    assert one in str(told.value) and other in str(told.value)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("zh-TW", "Traditional Chinese"),
        ("zh_CN", "Chinese"),
        ("zh-Hant-HK", "Traditional Chinese"),
        ("pt_BR", "Brazilian Portuguese"),
        ("es-419", "Latin American Spanish"),
        ("uz-AF", "Uzbek (Arabic)"),
        ("pa_PK", "Punjabi (Arabic)"),
        ("eng_Latn", "English"),
        ("mni-Mtei", "Manipuri (Meitei Mayek)"),
    ],
)
def test_scripts_and_regions_are_in_a_language_s_name(code, name):
    assert languages.name(code) == name
    languages.check(code)


@pytest.mark.parametrize(
    ("source", "target", "names", "tokenizer"),
    [
        ("eng_Latn", "zho_Hant", ("English", "Traditional Chinese"), "zh"),
        ("zh-Hans", "pt_BR", ("Simplified Chinese", "Brazilian Portuguese"), "13a"),
        ("sr-Latn", "yue-Hant-HK", ("Serbian (Latin)", "Cantonese"), "zh"),
    ],
)
def test_a_pair_with_scripts_and_regions_is_loaded_and_scored(cli, root, tmp_path, source, target, names, tokenizer):
    folder = root / "translation" / "x" / f"{source}-{target}"
    folder.mkdir(parents=True)
    (folder / f"test.{source}").write_text("a b\nc d\n")
    (folder / f"test.{target}").write_text("天 地\n人 心\n")
    dataset = f"translation_x_{source}-{target}"
    mixture = load_mixture(dataset, "test")
    [term], rows = mixture.terms, list(mixture)
    assert (term.source_language, term.language) == (source, target)
    assert all(name in rows[0]["instruction"] for name in names) and rows[1]["input"] == "c d"
    path = tmp_path / "theirs.jsonl"
    write_jsonl(path, [{"id": row["id"], "prediction": row["output"]} for row in rows])
    outcome = cli("evaluate", path, "--dataset", dataset)
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "theirs.metrics.json").read_text())
    assert {row["language"] for row in found} == {target} and f"tok:{tokenizer}" in found[0]["signature"]


def test_a_pair_is_no_language(cli, tmp_path):
    write_jsonl(tmp_path / "theirs.jsonl", [{"output": "a", "prediction": "a"}])
    outcome = cli("evaluate", tmp_path / "theirs.jsonl", "--task", "translation", "--lang", "en-zh")
    assert outcome.code == 2 and "unknown region 'ZH' in the language code 'en-zh'; of a pair, give" in outcome.err
