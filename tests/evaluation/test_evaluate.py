"""Scoring files of answers, and putting models side by side."""

import json

import pytest
from sacrebleu.metrics import BLEU

from xllm.records import read_jsonl, write_json, write_jsonl

GOLD = ["他说了，妈妈，我回来了。", "今天天气很好。"]
CLOSE = ["他说，妈妈，我回来了。", "今天天气好。"]


@pytest.fixture
def model(tmp_path):
    """A folder that passes for a model, with answers to a parallel set and to questions."""

    def make(name, translations, answers):
        folder = tmp_path / name
        (folder / "test").mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        rows = [
            {"output": o, "from": "translation_x_en-zh", "prediction": p}
            for o, p in zip(GOLD, translations, strict=True)
        ]
        save(folder, "translation_x_en-zh", rows, ("translation_x_en-zh", "translation", "zh"))
        golds = [["1864", "in 1864"], ["Bell House"]]
        rows = [
            {"output": g[0], "answers": g, "from": "xquad_en", "prediction": p}
            for g, p in zip(golds, answers, strict=True)
        ]
        save(folder, "xquad_en", rows, ("xquad_en", "qa", "en"))
        return folder

    return make


def save(folder, dataset, rows, *terms):
    write_jsonl(folder / "test" / f"{dataset}.inference.jsonl", rows)
    terms = [dict(zip(("from", "task", "language"), term, strict=True)) for term in terms]
    write_json(folder / "test" / f"{dataset}.run.json", {"mixture": {"terms": terms}})


def scores(folder, dataset):
    return json.loads((folder / "test" / f"{dataset}.metrics.json").read_text())["scores"]


def test_translations_get_bleu_with_the_target_s_tokenizer_and_its_signature(cli, model):
    folder = model("m", CLOSE, ["", ""])
    outcome = cli("evaluate", folder, "translation_x_en-zh")
    [score] = scores(folder, "translation_x_en-zh")
    expected = BLEU(tokenize="zh")
    assert score["value"] == expected.corpus_score(CLOSE, [GOLD]).score
    assert score["signature"] == str(expected.get_signature()) and "tok:zh" in outcome.out
    assert score["value"] > 2 * BLEU().corpus_score(CLOSE, [GOLD]).score  # what the wrong tokenizer would say


def test_questions_get_exact_match_and_f1_over_all_golds(cli, model):
    folder = model("m", CLOSE, ["in 1864", "the house"])
    outcome = cli("evaluate", folder, "xquad_en")
    assert [(s["metric"], s["value"], s["count"]) for s in scores(folder, "xquad_en")] == [
        ("exact_match", 50, 2),
        ("f1", pytest.approx(250 / 3), 2),
    ]
    assert outcome.code == 0 and "83.33" in outcome.out


def test_without_a_dataset_all_answers_are_scored_and_open_questions_left_out(cli, model):
    folder = model("m", CLOSE, ["1864", ""])
    save(folder, "mieval_en", [{"output": "", "from": "mieval_en", "prediction": "x"}], ("mieval_en", None, "en"))
    outcome = cli("evaluate", folder)
    assert outcome.code == 0 and "BLEU" in outcome.out and "exact_match" in outcome.out
    assert "no score for mieval_en" in outcome.err
    assert cli("evaluate", folder, "mieval_en").code == 2


def test_a_mixture_is_scored_by_the_dataset_that_rows_come_from(cli, model):
    folder = model("m", CLOSE, ["1864", "no"])
    rows = [
        row
        for name in ("translation_x_en-zh", "xquad_en")
        for row in read_jsonl(folder / "test" / f"{name}.inference.jsonl")
    ]
    save(folder, "both", rows, ("translation_x_en-zh", "translation", "zh"), ("xquad_en", "qa", "en"))
    cli("evaluate", folder, "both")
    assert [(s["from"], s["metric"], s["count"]) for s in scores(folder, "both")] == [
        ("translation_x_en-zh", "BLEU", 2),
        ("xquad_en", "exact_match", 2),
        ("xquad_en", "f1", 2),
    ]


def test_compare_puts_models_side_by_side(cli, model):
    base, tuned = model("base", ["", ""], ["", ""]), model("tuned", GOLD, ["1864", "Bell House"])
    lines = cli("compare", base, tuned, "--dataset", "translation_x_en-zh,xquad_en").out.splitlines()
    assert lines[0].split() == ["dataset", "metric", "rows", "base", "tuned"]
    assert lines[2].split() == ["translation_x_en-zh", "BLEU", "2", "0", "100"]
    assert lines[3].split() == ["xquad_en", "exact_match", "2", "0", "100"]
    assert cli("compare", base, tuned).out.splitlines() == lines  # all that both have answered


def test_compare_refuses_runs_over_different_rows(cli, model):
    base, tuned = model("base", CLOSE, ["", ""]), model("tuned", CLOSE, ["1864", ""])
    path = tuned / "test" / "xquad_en.inference.jsonl"
    write_jsonl(path, read_jsonl(path)[:1])
    outcome = cli("compare", base, tuned, "--dataset", "xquad_en")
    assert outcome.code == 2 and "have answered different rows of xquad_en" in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "m", "xquad_zh"], "unknown answered dataset of m 'xquad_zh'; did you mean xquad_en?"),
        (["evaluate", "nowhere"], "unknown model 'nowhere'"),
        (["evaluate", "m", "xquad_en", "--metric", "bleu"], "unknown flag '--metric'"),
        (["evaluate"], "missing a required argument: 'model'"),
        (["compare", "m"], "compare needs two models"),
        (["compare", "m", "m", "--dataset"], "--dataset needs a value"),
        (["compare", "m", "m", "--dataset", "xquad_zh"], "m has no answers to xquad_zh; first: python -m xllm infer"),
    ],
)
def test_mistakes_are_one_line(cli, model, tmp_path, monkeypatch, words, message):
    model("m", CLOSE, ["", ""])
    monkeypatch.chdir(tmp_path)
    outcome = cli(*words)
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1 and not outcome.out


def test_a_model_that_was_fetched_and_not_tuned_has_no_card(cli, model):
    folder = model("fetched", CLOSE, ["1864", "Bell House"])
    write_json(folder / "run.json", {"command": ["python"], "fetched": "smollm2-135m"})
    assert cli("evaluate", folder).code == 0 and not (folder / "README.md").exists()
