"""Answering a dataset through the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import HOME
from xllm.files import read_jsonl


@pytest.fixture
def model(tiny, tmp_path):
    import shutil

    return shutil.copytree(tiny, tmp_path / "model")


def test_writes_the_records_in_order_with_a_prediction(cli, sample, model):
    outcome = cli("infer", model, "xquad_zh[:7]+mlqa_en[:2]", "--max_new_tokens", "5", "--batch_size", "3")
    path = model / "test" / "xquad_zh.first7+mlqa_en.first2.inference.jsonl"
    assert outcome.code == 0 and outcome.out == f"{path}\n"
    rows = read_jsonl(path)
    raw = json.loads((sample / "xquad" / "xquad.zh.json").read_text())["data"]
    ids = [qa["id"] for article in raw for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
    assert [row["id"] for row in rows][:7] == ids[:7]
    assert [row["from"] for row in rows] == ["xquad_zh"] * 7 + ["mlqa_en"] * 2
    columns = ["id", "instruction", "input", "output", "answers", "from", "prediction"]
    assert all(list(row) == columns + ["cut"] * (len(row) - 7) for row in rows)
    assert {path.name for path in path.parent.iterdir()} == {path.name, f"{path.name[:-15]}run.json"}
    facts = json.loads((model / "test" / "xquad_zh.first7+mlqa_en.first2.run.json").read_text())
    assert [(t["from"], t["task"], t["language"]) for t in facts["mixture"]["terms"]] == [
        ("xquad_zh", "qa", "zh"),
        ("mlqa_en", "mlqa", "en"),
    ]
    assert facts["decoding"]["max_new_tokens"] == 5 and facts["template"] == "alpaca"


@pytest.mark.slow
def test_the_batch_size_changes_nothing(cli, sample, model):
    answers = []
    for size in ("1", "5", "30"):
        cli("infer", model, "xquad_en", "--max_new_tokens", "8", "--batch_size", size, "--overwrite", "true")
        answers.append([row["prediction"] for row in read_jsonl(model / "test" / "xquad_en.inference.jsonl")])
    assert answers[0] == answers[1] == answers[2]
    assert any(answers[0])


@pytest.mark.slow
def test_answers_are_not_overwritten_unless_told(cli, sample, model):
    words = ("infer", model, "mieval_en[:2]", "--max_new_tokens", "2")
    assert cli(*words).code == 0
    outcome = cli(*words)
    assert outcome.code == 2 and "--overwrite answers again" in outcome.err
    scores = [f"mieval_en.first2.{kind}metrics.json" for kind in ("", "judge.", "judge.b.")]
    for name in (*scores, "mieval_en.first2.judge.b.jsonl", "mieval_en.metrics.json"):
        (model / "test" / name).write_text("{}")
    assert cli(*words, "--overwrite").code == 0
    left = {path.name for path in (model / "test").iterdir()}
    assert not left & set(scores)  # of other answers; verdicts, which were paid for, and other sets' scores stay
    assert {"mieval_en.first2.judge.b.jsonl", "mieval_en.metrics.json"} < left


@pytest.mark.slow
def test_the_template_is_that_of_the_tuning(cli, sample, model):
    (model / "run.json").write_text(json.dumps({"encoding": {"template": "raw"}}))
    for flags, template in (((), "raw"), (("--template", "alpaca"), "alpaca")):
        cli("infer", model, "mieval_en[:1]", "--max_new_tokens", "1", "--overwrite", *flags)
        assert json.loads((model / "test" / "mieval_en.first1.run.json").read_text())["template"] == template


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "xquad_en"], "unknown model 'nowhere'"),
        (["MODEL", "xqad_en"], "unknown dataset 'xqad'; did you mean xquad"),
        (["MODEL", "xquad_fr"], "unknown language of xquad 'fr'"),
        (["MODEL", "alpaca_en"], "unknown split 'test'; available: train"),
        (
            ["MODEL", "xquad_en", "--max_new_token", "3"],
            "unknown flag '--max_new_token'; did you mean --max_new_tokens",
        ),
        (["MODEL", "xquad_en", "--temperature", "0.5"], "--temperature 0.5 has no effect without --do_sample"),
        (["MODEL", "xquad_en", "--batch_size", "0"], "--batch_size 0"),
        (["MODEL", "xquad_en", "--template", "chat"], "has no chat template; templates without one: alpaca, raw"),
        (["MODEL", "xquad_en", "--template", "chatty"], "unknown value of --template 'chatty'; did you mean chat"),
        (["MODEL", "xquad_en", "--max_new_tokens", "640"], "the model's window has 640 tokens in all"),
        (["MODEL", "xquad_en", "--limit", "0"], "--limit 0: it must be a whole number, 1 or more"),
        (["MODEL", "xquad_en[:3]", "--limit", "2"], "--limit 2 goes with one dataset"),
        (["MODEL", "xquad_en", "--engine", "vllm"], "--engine vllm needs vLLM: pip install"),
        (["MODEL", "xquad_en", "--load_in_8bit"], "--load_in_8bit: there is no GPU here"),
        (["MODEL", "xquad_en", "--transcot"], "--transcot: xquad_en is in English already"),
        (["MODEL", "xquad_en", "--seed", "-1"], "--seed -1"),
        (["MODEL", "+".join(["xquad_en"] * 30)], "give the mixture a short name"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing_behind(cli, sample, llama, words, message):
    outcome = cli("infer", *[str(llama) if word == "MODEL" else word for word in words])
    assert outcome.code == 2 and not outcome.out and message in outcome.err
    assert "Traceback" not in outcome.err and not (llama / "test").exists()


@pytest.mark.slow
def test_a_row_that_fails_is_written_down_and_the_others_are_answered(cli, root, model):
    (root / "mieval").mkdir()
    rows = [{"instruction": "short", "input": ""}, {"instruction": "long " * 700, "input": ""}]
    rows.append({"instruction": "shorter", "input": ""})
    (root / "mieval" / "aa.jsonl").write_text("\n".join(map(json.dumps, rows)))
    outcome = cli("infer", model, "mieval_aa", "--max_new_tokens", "3")
    failed = model / "test" / "mieval_aa.failed.jsonl"
    assert outcome.code == 3 and outcome.out.endswith("mieval_aa.inference.jsonl\n")
    assert outcome.err.splitlines()[-1] == f"xllm: 1 of 3 rows failed, each with its reason in {failed}"
    [row] = read_jsonl(failed)
    assert (row["row"], row["id"]) == (1, "1") and "tokens; the model's window has 640" in row["failed"]
    answers = read_jsonl(model / "test" / "mieval_aa.inference.jsonl")
    assert [row["prediction"] == "" for row in answers] == [False, True, False] and "failed" in answers[1]


def test_the_first_rows_alone(cli, sample, model):
    assert cli("infer", model, "xquad_en", "--limit", "3", "--max_new_tokens", "2").code == 0
    assert len(read_jsonl(model / "test" / "xquad_en.first3.inference.jsonl")) == 3


@pytest.mark.slow
def test_a_model_s_own_chat_template(cli, sample, model):
    config = json.loads((model / "tokenizer_config.json").read_text())
    config["chat_template"] = "{% for turn in messages %}<{{ turn.role }}>{{ turn.content }}{% endfor %}<answer>"
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    (model / "chat_template.jinja").unlink(missing_ok=True)
    assert cli("infer", model, "mieval_en[:2]", "--template", "chat", "--max_new_tokens", "2").code == 0
    from xllm.models.load import load_tokenizer
    from xllm.templates import encode_prompts

    tokenizer = load_tokenizer(str(model))
    [ids] = encode_prompts([("Why?", "x")], "chat", tokenizer)
    assert ids == tokenizer("<user>Why?\n\nx<answer>", add_special_tokens=False).input_ids


@pytest.mark.parametrize(
    ("lacking", "message"),
    [("model.safetensors", "there is no model.safetensors"), ("tokenizer.json", "cannot read the tokenizer")],
)
def test_a_model_that_lacks_a_part_is_refused(cli, sample, model, lacking, message):
    for name in (lacking, "tokenizer.model") if "tokenizer" in lacking else (lacking,):
        (model / name).unlink(missing_ok=True)
    outcome = cli("infer", model, "xquad_en")
    assert outcome.code == 2 and message in outcome.err and not (model / "test").exists()


def test_an_unfinished_model_is_refused(cli, sample, model):
    (model / "unfinished.json").write_text("{}")
    outcome = cli("infer", model, "xquad_en")
    assert outcome.code == 2 and "is an unfinished training run" in outcome.err


def test_a_folder_that_can_t_be_written_is_told_before_the_weights_load(cli, sample, model):
    (model / "test").write_text("a file")
    outcome = cli("infer", model, "xquad_en")
    assert outcome.code == 2 and "Loading weights" not in outcome.err
    assert outcome.err.splitlines()[-1].startswith("xllm: ") and str(model / "test") in outcome.err


def test_weights_that_can_t_be_read_leave_nothing_behind(cli, sample, model):
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    outcome = cli("infer", model, "xquad_en")
    assert outcome.code == 2 and "cannot read the weights" in outcome.err and not (model / "test").exists()


@pytest.mark.slow
def test_several_processes_answer_as_one(cli, root, model):
    (root / "mieval").mkdir()
    rows = [{"instruction": f"Say {'so ' * length}", "input": ""} for length in (1, 5, 700, 2, 9, 4, 30, 8, 3)]
    (root / "mieval" / "aa.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = (model, "mieval_aa", "2", "--max_new_tokens", "6")
    environment = os.environ | {"NPROC": "2", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", HOME / "script" / "inference.sh", *words]
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    path = model / "test" / "mieval_aa.inference.jsonl"
    assert done.returncode == 3 and done.stdout == f"{path}\n", done.stderr
    assert "1 of 9 rows failed" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    together = path.read_bytes()
    outcome = cli("infer", *words[:2], "--batch_size", "2", *words[3:], "--overwrite")
    assert outcome.code == 3 and path.read_bytes() == together
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.splitlines()[-1].endswith("--overwrite answers again")


def test_a_hub_model_is_read_from_its_cache(cli, sample, llama, tmp_path, monkeypatch):
    import shutil

    from huggingface_hub.constants import HF_HUB_CACHE

    monkeypatch.setenv("XLLM_MODEL_DIR", str(tmp_path))
    commit, cached = "fedcba98765432100123456789abcdef01234567", Path(HF_HUB_CACHE) / "models--some--llama"
    shutil.copytree(llama, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    outcome = cli("infer", "some/llama", "mieval_en[:1]", "--max_new_tokens", "1")
    assert outcome.code == 0, outcome.err
    facts = json.loads(Path(outcome.out.strip().replace("inference.jsonl", "run.json")).read_text())
    assert facts["model"] == "some/llama" and facts["mixture"]["terms"]
