"""Answers to datasets whose loading script doesn't say what kind of answers they ask for."""

import shutil

import pytest

from xllm.files import read_json, read_jsonl, write_json, write_jsonl

SCRIPT = """
import datasets

class Config(datasets.BuilderConfig):
    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.lang = config

class Quiz(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = Config

    def _info(self):
        return datasets.DatasetInfo(features=datasets.Features(
            {name: datasets.Value("string") for name in ("id", "instruction", "input", "output")}
        ))

    def _split_generators(self, manager):
        return [datasets.SplitGenerator("test", {"number": 2})]

    def _generate_examples(self, number):
        for key in range(number):
            yield key, {"id": key, "instruction": "回答", "input": f"{key}？", "output": "雅典"}
"""


def save(folder, dataset, task, language, output="Athens", run=True, **columns):
    rows = [
        {"id": str(i), "input": "Where?", "output": output, "from": dataset, "prediction": text, **columns}
        for i, text in enumerate(("Athens", "in Oslo"))
    ]
    write_jsonl(folder / "test" / f"{dataset}.inference.jsonl", rows)
    terms = [{"from": dataset, "task": task, "language": language}]
    if run:
        write_json(folder / "test" / f"{dataset}.run.json", {"mixture": {"terms": terms}})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two models, a and b, with answers of many kinds."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        folder = tmp_path / name
        (folder / "test").mkdir(parents=True)
        write_json(folder / "config.json", {})
        save(folder, "bare_en", None, None)
        save(folder, "tasked_en", "qa", None)
        save(folder, "whole_en", "qa", "en")
        save(folder, "typo_en", "summarization", "en")
        save(folder, "open_en", None, "en", output="")
        save(folder, "labels", "label", None, labels=["Athens", "in Oslo"])
        save(folder, "theirs_en", None, None, run=False)
    return tmp_path


def metrics(folder, dataset):
    path = folder / "a" / "test" / f"{dataset}.metrics.json"
    return {row["metric"]: row["value"] for row in read_json(path) if row["kind"] == "score"} if path.exists() else None


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["bare_en"], ["no score for bare_en", "names no TASK", "xllm evaluate a bare_en --task TASK --lang LANGUAGE"]),
        (["bare_en", "--lang", "en"], ["names no TASK", "a bare_en --task TASK"]),
        (["bare_en", "--task", "qa"], ["names no language; type: xllm evaluate a bare_en --lang LANGUAGE"]),
        (["tasked_en"], ["names no language; type: xllm evaluate a tasked_en --lang LANGUAGE"]),
        (["typo_en"], ["names the TASK summarization, which is none of translation, qa"]),
        (["theirs_en"], ["no score for theirs_en", "type: xllm evaluate a theirs_en --task TASK --lang LANGUAGE"]),
        (["whole_en", "--task", "label"], ["--task has no effect", "whole_en has the task qa, not label"]),
        (["whole_en", "--lang", "zh"], ["--lang has no effect", "whole_en has the language en, not zh"]),
        (["tasked_en", "--task", "mlqa", "--lang", "en"], ["tasked_en has the task qa, not mlqa"]),
        (["whole_en", "bare_en"], ["no score for bare_en"]),
        (["bare_en", "--task", "qa", "--lang", "xx"], ["unknown language code 'xx'"]),
        (["a/test/bare_en.inference.jsonl"], ["evaluate a bare_en --task TASK --lang LANGUAGE"]),
    ],
)
def test_nothing_is_scored_that_nobody_says_the_kind_of(cli, folder, words, messages):
    outcome = cli("evaluate", *([] if words[0].endswith(".jsonl") else ["a"]), *words)
    assert outcome.code == 2 and all(message in outcome.err for message in messages), outcome.err
    assert outcome.err.count("\n") == 1 and not outcome.out and not list(folder.rglob("*.metrics.json"))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["bare_en", "--task", "qa", "--lang", "en"], {"exact_match": 50, "f1": 50, "contains": 50}),
        (["theirs_en", "--task", "qa", "--lang", "en"], {"exact_match": 50, "f1": 50, "contains": 50}),
        (["tasked_en", "--task", "qa", "--lang", "en"], {"exact_match": 50, "f1": 50, "contains": 50}),
        (["whole_en", "--task", "qa", "--lang", "eng_Latn"], {"exact_match": 50, "f1": 50, "contains": 50}),
        (["typo_en", "--task", "summary"], {"ROUGE-1": 50, "ROUGE-2": 0, "ROUGE-L": 50}),
        (["labels"], {"accuracy": 50, "macro_f1": 100 / 3}),
        (["bare_en", "--task", "label"], {"accuracy": 50}),
    ],
)
def test_flags_say_what_run_json_does_not(cli, folder, words, found):
    outcome = cli("evaluate", "a", *words)
    assert outcome.code == 0 and metrics(folder, words[0]) == pytest.approx(found)
    row = read_json(folder / "a" / "test" / f"{words[0]}.metrics.json")[0]
    assert " ".join(row["command"].split()[3:6]) == f"evaluate a {words[0]}"


def test_all_answers_of_a_model_are_scored_but_those_that_cannot_be(cli, folder):
    outcome = cli("evaluate", "a")
    assert outcome.code == 0 and metrics(folder, "whole_en") == {"exact_match": 50, "f1": 50, "contains": 50}
    for name in ("bare_en", "tasked_en", "typo_en", "theirs_en"):
        assert f"no score for {name}" in outcome.err and f"type: xllm evaluate a {name} --" in outcome.err
    assert "no score for open_en: none of its rows has a right answer; xllm judge" in outcome.err
    for path in [*(folder / "a" / "test").glob("whole*"), *(folder / "a" / "test").glob("labels*")]:
        path.unlink()
    assert cli("evaluate", "a").code == 2


def test_open_questions_have_shares_and_no_score(cli, folder):
    outcome = cli("evaluate", "a", "open_en")
    assert outcome.code == 2 and "none of its rows has a right answer" in outcome.err.splitlines()[-1]
    assert "empty %" in outcome.out and metrics(folder, "open_en") == {}
    assert cli("evaluate", "a", "open_en", "--task", "qa").code == 2 and metrics(folder, "open_en") == {}


def test_a_mixture_is_scored_as_far_as_it_can_be(cli, folder):
    rows = [row for name in ("bare_en", "whole_en") for row in read_jsonl(folder / f"a/test/{name}.inference.jsonl")]
    write_jsonl(folder / "a/test/both.inference.jsonl", rows)
    terms = [
        {"from": "bare_en", "task": None, "language": None},
        {"from": "whole_en", "task": "qa", "language": "en"},
    ]
    write_json(folder / "a/test/both.run.json", {"mixture": {"terms": terms}})
    outcome = cli("evaluate", "a", "both")
    assert outcome.code == 0 and "no score for bare_en" in outcome.err and "a both --task TASK" in outcome.err
    assert cli("evaluate", "a", "both", "--task", "translation", "--lang", "zh").code == 0
    found = {(row["from"], row["metric"], row["language"]) for row in read_json(folder / "a/test/both.metrics.json")}
    assert ("bare_en", "BLEU", "zh") in found and ("whole_en", "f1", "en") in found


def test_compare_report_and_judge_take_the_same_flags(cli, folder):
    words = ["compare", "a", "b", "--dataset"]
    outcome = cli(*words, "bare_en")
    assert outcome.code == 2 and "type: xllm compare a b --dataset bare_en --task TASK --lang LANGUAGE" in outcome.err
    outcome = cli(*words, "bare_en", "--task", "qa", "--lang", "en")
    assert outcome.code == 0 and "exact_match" in outcome.out
    assert cli(*words, "bare_en,whole_en").code == 2
    outcome = cli("compare", "a", "b")
    assert outcome.code == 0 and "whole_en" in outcome.out and "no score for bare_en" in outcome.err
    assert "bare_en" not in outcome.out

    assert cli("evaluate", "a", "bare_en", "--task", "qa", "--lang", "en").code == 0
    outcome = cli("report", "a")
    assert outcome.code == 0 and "bare_en" in outcome.out

    server = ["--judge_url", "http://127.0.0.1:9/v1", "--judge_model", "x", "--retries", "0"]
    for flags, message in (
        ([], "names no TASK, --task does"),
        (["--task", "qa"], "names no language, which its answers must be in; give --lang"),
        (["--task", "label", "--lang", "en"], "bare_en has the task label"),
    ):
        outcome = cli("judge", "a", "--dataset", "bare_en", *server, *flags)
        assert outcome.code == 2 and message in outcome.err
    outcome = cli("judge", "a", "b", "--dataset", "bare_en", *server, "--task", "qa")
    assert outcome.code == 2 and "--task qa has no effect on a comparison of two models" in outcome.err


def test_infer_takes_them_too_and_keeps_them_in_run_json(cli, llama, root, tmp_path):
    (root / "quiz").mkdir()
    (root / "quiz" / "quiz.py").write_text(SCRIPT)
    model = shutil.copytree(llama, tmp_path / "model")
    words = ["infer", model, "quiz_zh", "--max_new_tokens", "2", "--transcot"]
    outcome = cli(*words)
    assert outcome.code == 2 and "names no language to translate from; give --lang LANGUAGE" in outcome.err
    outcome = cli(*words, "--evaluate")
    assert outcome.code == 2
    outcome = cli(*words, "--lang", "zh", "--task", "translation")
    assert outcome.code == 2 and "names no language to translate from\n" in outcome.err
    outcome = cli(*words, "--lang", "zh", "--task", "qa", "--evaluate")
    assert outcome.code == 0 and "exact_match" in outcome.out
    [term] = read_json(model / "test" / "quiz_zh.run.json")["mixture"]["terms"]
    assert (term["task"], term["language"]) == ("qa", "zh")
    assert cli("evaluate", model, "quiz_zh").code == 0
    outcome = cli("infer", model, "quiz_zh", "--overwrite", "--evaluate", "--lang", "zh")
    assert outcome.code == 2 and "names no TASK, so that there is nothing to score; give --task TASK" in outcome.err
