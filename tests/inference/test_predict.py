"""Answering a dataset through the command line."""

import json

import pytest

from xllm.records import read_jsonl


@pytest.fixture
def model(tiny, tmp_path):
    import shutil

    return shutil.copytree(tiny, tmp_path / "model")


def test_writes_the_records_in_order_with_a_prediction(cli, sample, model):
    outcome = cli("infer", model, "xquad_zh[:7]+mlqa_en[:2]", "--max_new_tokens", "5", "--batch_size", "3")
    path = model / "test" / "xquad_zh[:7]+mlqa_en[:2].inference.jsonl"
    assert outcome.code == 0 and outcome.out == f"{path}\n"
    rows = read_jsonl(path)
    raw = json.loads((sample / "xquad" / "xquad.zh.json").read_text())["data"]
    ids = [qa["id"] for article in raw for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
    assert [row["id"] for row in rows][:7] == ids[:7]
    assert [row["from"] for row in rows] == ["xquad_zh"] * 7 + ["mlqa_en"] * 2
    assert list(rows[0]) == ["id", "instruction", "input", "output", "answers", "from", "prediction"]
    assert not list(path.parent.glob(".*"))
    facts = json.loads((model / "test" / "xquad_zh[:7]+mlqa_en[:2].run.json").read_text())
    assert [(t["from"], t["task"], t["language"]) for t in facts["mixture"]["terms"]] == [
        ("xquad_zh", "qa", "zh"),
        ("mlqa_en", "qa", "en"),
    ]
    assert facts["decoding"]["max_new_tokens"] == 5 and facts["template"] == "alpaca"


def test_the_batch_size_changes_nothing(cli, sample, model):
    answers = []
    for size in ("1", "5", "30"):
        cli("infer", model, "xquad_en", "--max_new_tokens", "8", "--batch_size", size, "--overwrite", "true")
        answers.append([row["prediction"] for row in read_jsonl(model / "test" / "xquad_en.inference.jsonl")])
    assert answers[0] == answers[1] == answers[2]
    assert any(answers[0])


def test_answers_are_not_overwritten_unless_told(cli, sample, model):
    words = ("infer", model, "mieval_en[:2]", "--max_new_tokens", "2")
    assert cli(*words).code == 0
    outcome = cli(*words)
    assert outcome.code == 2 and "--overwrite answers anew" in outcome.err
    assert cli(*words, "--overwrite").code == 0


def test_the_template_is_that_of_the_tuning(cli, sample, model):
    (model / "run.json").write_text(json.dumps({"encoding": {"template": "raw"}}))
    for flags, template in (((), "raw"), (("--template", "alpaca"), "alpaca")):
        cli("infer", model, "mieval_en[:1]", "--max_new_tokens", "1", "--overwrite", *flags)
        assert json.loads((model / "test" / "mieval_en[:1].run.json").read_text())["template"] == template


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "xquad_en"], "unknown model 'nowhere'"),
        (["MODEL", "xqad_en"], "unknown dataset 'xqad'; did you mean xquad"),
        (["MODEL", "xquad_fr"], "unknown language of xquad 'fr'"),
        (["MODEL", "alpaca_en"], "unknown split 'test'; there are: train"),
        (
            ["MODEL", "xquad_en", "--max_new_token", "3"],
            "unknown flag '--max_new_token'; did you mean --max_new_tokens",
        ),
        (["MODEL", "xquad_en", "--temperature", "0.5"], "--temperature has no effect without --do_sample"),
        (["MODEL", "xquad_en", "--batch_size", "0"], "--batch_size 0"),
        (["MODEL", "xquad_en", "--template", "chat"], "unknown template 'chat'"),
        (["MODEL", "xquad_en", "--seed", "-1"], "--seed -1"),
        (["MODEL", "+".join(["xquad_en"] * 30)], "give the mixture a short name"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing_behind(cli, sample, llama, words, message):
    outcome = cli("infer", *[str(llama) if word == "MODEL" else word for word in words])
    assert outcome.code == 2 and not outcome.out and message in outcome.err
    assert "Traceback" not in outcome.err and not (llama / "test").exists()


def test_a_prompt_longer_than_the_window_names_its_row(cli, root, llama):
    (root / "mieval").mkdir()
    rows = [{"instruction": "short", "input": ""}, {"instruction": "long " * 700, "input": ""}]
    (root / "mieval" / "aa.jsonl").write_text("\n".join(map(json.dumps, rows)))
    outcome = cli("infer", llama, "mieval_aa")
    assert (
        outcome.code == 2 and "row 1 of mieval_aa (id 1): a prompt of" in outcome.err and "window of 640" in outcome.err
    )
