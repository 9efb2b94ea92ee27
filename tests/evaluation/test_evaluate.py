"""Scoring files of answers."""

import json
import re
import shutil
import subprocess
import sys

import pandas
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER

from xllm.files import read_json, read_jsonl, write_json, write_jsonl
from xllm.mixture.load import load_mixture

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


def report(folder, dataset):
    return scored(folder / "test" / f"{dataset}.metrics.json")


def scored(path):
    """The rows of a file of scores by the dataset that they come from, and by kind."""
    found = {}
    for row in read_json(path):
        own = found.setdefault(row["from"], {"from": row["from"], "scores": [], "shares": []})
        own[{"score": "scores", "share": "shares"}[row["kind"]]].append(row)
    return list(found.values())


def scores(folder, dataset):
    """(metric, value, count) of each score, over all that a file of answers comes from."""
    return [
        (s["metric"], pytest.approx(s["value"]), s["count"]) for own in report(folder, dataset) for s in own["scores"]
    ]


def shares(folder, dataset):
    [own] = report(folder, dataset)
    return {share["metric"]: (share["value"], share["count"]) for share in own["shares"]}


def test_translations_get_bleu_with_the_target_s_tokenizer_and_its_signature(cli, model):
    folder = model("m", CLOSE, ["", ""])
    outcome = cli("evaluate", folder, "translation_x_en-zh", "--metrics", "BLEU,chrF++,ter")
    [own] = report(folder, "translation_x_en-zh")
    expected = [BLEU(tokenize="zh"), CHRF(word_order=2), TER(normalized=True, asian_support=True)]
    for score, metric in zip(own["scores"], expected, strict=True):
        assert score["value"] == metric.corpus_score(CLOSE, [GOLD]).score
        assert score["signature"] == str(metric.get_signature()) and score["signature"] in outcome.out
        assert score["low"] <= score["value"] <= score["high"]
    # what the wrong tokenizer would say
    assert own["scores"][0]["value"] > 2 * BLEU().corpus_score(CLOSE, [GOLD]).score


def test_questions_get_exact_match_and_f1_over_all_golds(cli, model):
    folder = model("m", CLOSE, ["in 1864", "the house"])
    outcome = cli("evaluate", folder, "xquad_en")
    assert scores(folder, "xquad_en") == [("exact_match", 50, 2), ("f1", 250 / 3, 2), ("contains", 50, 2)]
    assert outcome.code == 0 and "83.33" in outcome.out


def test_without_a_dataset_all_answers_are_scored_and_open_questions_left_out(cli, model):
    folder = model("m", CLOSE, ["1864", ""])
    save(folder, "mieval_en", [{"output": "", "from": "mieval_en", "prediction": "x"}], ("mieval_en", None, "en"))
    outcome = cli("evaluate", folder)
    assert outcome.code == 0 and "BLEU" in outcome.out and "exact_match" in outcome.out
    assert "no score for mieval_en" in outcome.err
    assert shares(folder, "mieval_en")["empty"] == (0, 1) and not scores(folder, "mieval_en")


def test_a_mixture_is_scored_by_the_dataset_that_rows_come_from(cli, model):
    folder = model("m", CLOSE, ["1864", "no"])
    rows = [
        row
        for name in ("translation_x_en-zh", "xquad_en")
        for row in read_jsonl(folder / "test" / f"{name}.inference.jsonl")
    ]
    save(folder, "both", rows, ("translation_x_en-zh", "translation", "zh"), ("xquad_en", "qa", "en"))
    cli("evaluate", folder, "both")
    found = [(own["from"], s["metric"], s["count"]) for own in report(folder, "both") for s in own["scores"]]
    assert found == [
        ("translation_x_en-zh", "BLEU", 2),
        ("translation_x_en-zh", "chrF++", 2),
        ("xquad_en", "exact_match", 2),
        ("xquad_en", "f1", 2),
        ("xquad_en", "contains", 2),
    ]


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [
        ("zh", "zh"),
        ("zh-Hant", "zh"),
        ("ja", "ja-mecab"),
        ("ko", "ko-mecab"),
        ("th", "char"),
        ("my", "char"),
        ("ar", "13a"),
    ],
)
def test_bleu_s_tokenizer_is_that_of_the_target_language(cli, tmp_path, language, tokenizer):
    texts = {
        "ja": "今日はとても良い天気ですね。",
        "ko": "오늘은 날씨가 아주 좋습니다.",
        "ar": "الطقس جميل جدا اليوم يا صديقي.",
    }
    file = tmp_path / "text"
    file.write_text(texts.get(language, "今天天气很好。") + "\n", encoding="utf-8")
    outcome = cli("evaluate", "--hypotheses", file, "--references", file, "--lang", language, "--metrics", "BLEU")
    assert outcome.code == 0 and f"|tok:{tokenizer}" in outcome.out and "100.00" in outcome.out


def test_tokenize_overrides_it(cli, model):
    folder = model("m", CLOSE, ["", ""])
    assert "|tok:char|" in cli("evaluate", folder, "translation_x_en-zh", "--tokenize", "char").out


def test_text_files_are_scored_as_sacrebleu_s_command_does(cli, tmp_path):
    files = {name: tmp_path / name for name in ("hypotheses", "references")}
    for path, lines in zip(files.values(), (CLOSE, GOLD), strict=True):
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = [word for name, path in files.items() for word in (f"--{name}", path)]
    outcome = cli("evaluate", *flags, "--lang", "zh")
    command = [
        sys.executable,
        "-m",
        "sacrebleu",
        files["references"],
        "-i",
        files["hypotheses"],
        "-tok",
        "zh",
        "-w",
        "2",
    ]
    done = subprocess.run([*command, "-m", "bleu", "chrf", "--chrf-word-order", "2"], capture_output=True, text=True)
    found = {entry["name"]: entry["score"] for entry in json.loads(done.stdout)}
    assert outcome.code == 0 and not list(tmp_path.glob("*.json"))
    for name, metric in (("BLEU", "BLEU"), ("chrF2++", "chrF++")):
        assert re.search(rf"{re.escape(metric)} +{found[name]:.2f} ", outcome.out)


def test_predictions_from_elsewhere_are_scored_by_the_dataset_that_they_answer(cli, sample, tmp_path):
    golds = [{"id": row["id"], "prediction": row["output"]} for row in load_mixture("xquad_zh", "test")]
    file = tmp_path / "theirs.jsonl"
    write_jsonl(file, golds[::-1])  # in any order
    outcome = cli("evaluate", file, "--dataset", "xquad_zh")
    assert outcome.code == 0 and re.search(r"exact_match +100.00 .* 30 .*lang:zh", outcome.out)
    assert read_json(tmp_path / "theirs.metrics.json")[0]["model"] is None
    write_jsonl(file, [*golds[1:], {"id": "x", "prediction": ""}])
    outcome = cli("evaluate", file, "--dataset", "xquad_zh")
    assert outcome.code == 2 and "has ids that xquad_zh (split test) lacks: 1, 'x' for one" in outcome.err
    write_jsonl(file, golds[1:])
    assert "lacks ids of xquad_zh (split test): 1" in cli("evaluate", file, "--dataset", "xquad_zh").err
    write_jsonl(file, [{**golds[0], "from": "xquad_en"}, *golds[1:]])
    assert "xquad_zh*2 has rows twice" in cli("evaluate", file, "--dataset", "xquad_zh*2").err
    assert "comes from xquad_en, not from xquad_zh" in cli("evaluate", file, "--dataset", "xquad_zh").err
    write_jsonl(file, [{**golds[0], "prediction": "", "failed": "memory"}, {**golds[1], "cut": True}, *golds[2:]])
    assert cli("evaluate", file, "--dataset", "xquad_zh").code == 0
    [own] = scored(tmp_path / "theirs.metrics.json")
    flawed = {share["metric"]: round(share["value"] * share["count"] / 100) for share in own["shares"]}
    assert (flawed["failed"], flawed["cut"], flawed["empty"]) == (1, 1, 0)

    rows = load_mixture("xnli_zh", "validation")
    write_jsonl(file, [{"id": row["id"], "prediction": row["output"]} for row in rows])
    assert "lacks ids of xnli_zh (split test): 3" in cli("evaluate", file, "--dataset", "xnli_zh").err
    outcome = cli("evaluate", file, "--dataset", "xnli_zh", "--split", "validation")
    assert outcome.code == 0 and re.search(rf"accuracy +100.00 .* {len(rows)} ", outcome.out)
    assert "--split validation has no effect without --dataset" in cli("evaluate", file, "--split", "validation").err
    assert "unknown split 'dev'" in cli("evaluate", file, "--dataset", "xnli_zh", "--split", "dev").err


def test_predictions_from_elsewhere_may_bring_what_is_right(cli, tmp_path):
    file = tmp_path / "theirs.jsonl"
    write_jsonl(file, [{"answers": [gold], "prediction": close} for gold, close in zip(GOLD, CLOSE, strict=True)])
    outcome = cli("evaluate", file, "--task", "translation", "--lang", "zh")
    assert outcome.code == 0 and f"{BLEU(tokenize='zh').corpus_score(CLOSE, [GOLD]).score:.2f}" in outcome.out


@pytest.mark.parametrize(
    ("task", "metrics"),
    [("summary", ["ROUGE-1", "ROUGE-2", "ROUGE-L"]), ("simplification", ["SARI", "BLEU"])],
)
def test_summaries_and_simplifications_have_metrics_of_their_own(cli, tmp_path, task, metrics):
    file = tmp_path / "theirs.jsonl"
    rows = [{"input": f"很久以前，{gold}", "output": gold, "prediction": gold} for gold in GOLD]
    write_jsonl(file, rows)
    outcome = cli("evaluate", file, "--task", task, "--lang", "zh")
    found = scored(tmp_path / "theirs.metrics.json")[0]["scores"]
    assert outcome.code == 0 and [(s["metric"], s["value"]) for s in found] == [
        (m, pytest.approx(100, abs=2)) for m in metrics
    ]
    assert "tok:" in found[0]["signature"]
    write_jsonl(file, [{"output": gold, "prediction": gold} for gold in GOLD])
    outcome = cli("evaluate", file, "--task", task, "--lang", "zh")
    assert (outcome.code, "SARI looks at the inputs" in outcome.err) == ((0, False) if task == "summary" else (2, True))


def test_labels_get_accuracy_macro_f1_and_a_confusion_matrix(cli, model):
    folder = model("m", CLOSE, ["", ""])
    rows = [
        {"id": str(i), "output": gold, "labels": ["Yes", "No"], "from": "xnli_en", "prediction": answer}
        for i, (gold, answer) in enumerate([("Yes", "Yes"), ("Yes", "No"), ("No", "No"), ("No", "Perhaps"), ("", "No")])
    ]
    save(folder, "xnli_en", rows, ("xnli_en", "label", "en"))
    outcome = cli("evaluate", folder, "xnli_en")
    # F1 of Yes: 1 of 1 and 1 of 2; of No: 1 of 2 and 1 of 2. The row without a right label doesn't count.
    assert scores(folder, "xnli_en") == [("accuracy", 50, 4), ("macro_f1", 100 * (2 / 3 + 1 / 2) / 2, 4)]
    found = read_json(folder / "test" / "xnli_en.confusion.json")
    assert found == {"xnli_en": {"labels": ["Yes", "No"], "counts": [[1, 1, 0], [0, 1, 1]]}}
    assert re.search(r"No +0 +1 +1", outcome.out)


def test_labels_of_each_row_s_own_go_by_their_place(cli, model):
    folder = model("m", CLOSE, ["", ""])
    # the last ones look like places
    pairs = [("he fell", "he sang", "he fell"), ("it rained", "it froze", " it rained"), ("2", "1", "1")]
    rows = [
        {"id": str(i), "output": one, "labels": [one, two], "from": "xcopa_en", "prediction": answer}
        for i, (one, two, answer) in enumerate(pairs)
    ]
    save(folder, "xcopa_en", rows, ("xcopa_en", "label", "en"))
    cli("evaluate", folder, "xcopa_en")
    found = read_json(folder / "test" / "xcopa_en.confusion.json")
    assert found == {"xcopa_en": {"labels": ["1", "2"], "counts": [[2, 1, 0], [0, 0, 0]]}}
    assert scores(folder, "xcopa_en")[1] == ("macro_f1", 100 * (4 / 5 + 0) / 2, 3)


def test_tells_what_is_wrong_with_answers_whatever_their_score(cli, model):
    folder = model("m", CLOSE, ["", ""])
    long = "今天天气很好，我们一起去公园散步吧。"
    asked = {"instruction": "Translate.", "input": "The weather is fine today, let us take a walk.", "output": long}
    answers = [
        {"prediction": long},
        {"prediction": "Das Wetter ist heute schön, gehen wir spazieren."},
        {"prediction": asked["input"].upper()},  # a copy, and English
        {"prediction": "", "failed": "out of memory"},
        {"prediction": " \u200b\ufeff"},
        {"prediction": long, "cut": True},
        {"prediction": long, "cut": False},
        {"prediction": "42"},  # no language
    ]
    rows = [{"id": str(i), **asked, **answer, "from": "translation_x_en-zh"} for i, answer in enumerate(answers)]
    save(folder, "translation_x_en-zh", rows, ("translation_x_en-zh", "translation", "zh"))
    assert cli("evaluate", folder, "translation_x_en-zh").code == 0
    one = pytest.approx(100 / 8)
    assert shares(folder, "translation_x_en-zh") == {
        "wrong_language": (40, 5),
        "empty": (one, 8),
        "cut": (one, 8),
        "copy": (one, 8),
        "failed": (one, 8),
    }


@pytest.mark.parametrize("failed", [{}, {"failed": "a prompt of 3000 tokens"}])
def test_a_row_that_failed_counts_as_wrong(cli, model, failed):
    """Also where an empty answer has a score: of a gold answer that is an article, and of a simplification."""
    folder = model("m", CLOSE, ["1864", ""])
    rows = [
        {"id": "0", "input": "the old house", "output": "the", "from": "x_en", "prediction": "", **failed},
        {"id": "1", "input": "the old house", "output": "a house", "from": "x_en", "prediction": "a house"},
    ]
    for task, metric in (("qa", "exact_match"), ("simplification", "SARI")):
        save(folder, "x_en", rows, ("x_en", task, "en"))
        assert cli("evaluate", folder, "x_en", "--metrics", metric).code == 0
        [score] = report(folder, "x_en")[0]["scores"]
        assert score["value"] <= 50 if failed else score["value"] > 60


def test_a_copy_is_told_by_what_was_asked_also_where_the_model_had_it_in_english(cli, model):
    folder = model("m", CLOSE, ["", ""])
    row = {"id": "0", "input": "The house.", "original_input": "那所房子。", "output": "x", "from": "xquad_zh"}
    save(folder, "xquad_zh", [{**row, "prediction": "那所房子。"}], ("xquad_zh", "qa", "zh"))
    assert cli("evaluate", folder, "xquad_zh").code == 0
    assert shares(folder, "xquad_zh")["copy"] == (100, 1)


@pytest.mark.parametrize(
    ("language", "text", "wrong"),
    [
        ("ha", "Ina kwana, yaya aiki da iyali a yau a garin Kano", None),  # which the identifier doesn't know
        ("ja", "今日本政府発表経済成長率予測", 0),  # no kana, which tells Japanese from Chinese
        ("zh", "今日本政府発表経済成長率予測", 0),
        ("nb", "Jeg skal ikke gjøre noe galt i morgen, sa hun og lo.", 0),
        ("yue", "今天天气很好，我们一起去公园散步吧。", 0),
        ("en", "Jeg skal ikke gjøre noe galt i morgen, sa hun og lo.", 100),
    ],
)
def test_languages_that_the_identifier_cannot_tell_are_not_called_wrong(cli, tmp_path, language, text, wrong):
    file = tmp_path / "theirs.jsonl"
    for gold, share in (("x", wrong), (text, wrong and 0)):  # what is right is in the right language
        write_jsonl(file, [{"output": gold, "prediction": text}])
        assert cli("evaluate", file, "--task", "qa", "--lang", language).code == 0
        [own] = scored(tmp_path / "theirs.metrics.json")
        assert {s["metric"]: s["value"] for s in own["shares"]}.get("wrong_language") == share


def test_what_is_right_is_neither_a_copy_nor_in_another_language(cli, model):
    folder = model("m", CLOSE, ["", ""])
    row = {"id": "0", "input": "Windows 10\nIt blew with the wind", "from": "translation_x_en-zh"}
    answer = "it blew with  the wind"
    for gold, flawed in (("It blew with the wind", 0), ("随风而去", 100)):
        save(folder, "x", [{**row, "output": gold, "prediction": answer}], ("translation_x_en-zh", "translation", "zh"))
        assert cli("evaluate", folder, "x").code == 0
        assert (shares(folder, "x")["copy"], shares(folder, "x")["wrong_language"]) == ((flawed, 1), (flawed, 1))


def test_another_file_than_the_one_named_is_never_scored(cli, model):
    folder = model("m", CLOSE, ["1864", "Bell House"])
    file = folder / "test" / "xquad_en.jsonl"
    write_jsonl(file, [{"output": "x", "prediction": "y"}])
    assert "has no run.json beside it" in cli("evaluate", file).err
    outcome = cli("evaluate", file, "--task", "qa", "--lang", "en")
    assert outcome.code == 2 and "xquad_en.metrics.json is for the scores of xquad_en.inference.jsonl" in outcome.err
    assert not list(folder.rglob("*.metrics.json"))
    file = file.rename(file.with_name("theirs.jsonl"))
    assert cli("evaluate", file, "--task", "qa", "--lang", "en").code == 0
    assert scores(folder, "theirs")[0] == ("exact_match", 0, 1)


def test_what_a_failed_row_says_does_not_count(cli, tmp_path):
    file = tmp_path / "theirs.jsonl"
    write_jsonl(file, [{"output": "The cat sat there.", "prediction": "The cat sat there.", "failed": "memory"}])
    assert cli("evaluate", file, "--task", "translation", "--lang", "en").code == 0
    [own] = scored(tmp_path / "theirs.metrics.json")
    assert {score["metric"]: score["value"] for score in own["scores"]} == {"BLEU": 0, "chrF++": 0}


def test_a_question_given_back_is_a_copy_and_wrong(cli, model):
    folder = model("m", CLOSE, ["", ""])
    question = {
        "input": "Context: The house stands in Oslo.\nQuestion: Where does it stand?\nAnswer:",
        "output": "Oslo",
    }
    rows = [{"id": "0", "instruction": "Answer.", **question, "from": "xquad_en", "prediction": "where does it stand?"}]
    save(folder, "xquad_en", rows, ("xquad_en", "qa", "en"))
    cli("evaluate", folder, "xquad_en")
    assert shares(folder, "xquad_en")["copy"] == (100, 1) and scores(folder, "xquad_en")[1] == ("f1", 0, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "m", "xquad_zh"], "unknown answered dataset of m 'xquad_zh'; did you mean xquad_en?"),
        (["evaluate", "nowhere"], "unknown model 'nowhere'"),
        (["evaluate", "m", "xquad_en", "--metric", "bleu"], "unknown flag '--metric'"),
        (["evaluate"], "evaluate needs a MODEL, a FILE.jsonl, or --hypotheses and --references"),
        (["evaluate", "m", "--metrics", "blue"], "unknown metric 'blue'; available: BERTScore, BLEU"),
        (
            ["evaluate", "m", "xquad_en", "--metrics", "TER"],
            "TER doesn't fit these answers; available: contains, exact",
        ),
        (["evaluate", "m", "--metrics", "f1", "--tokenize", "zh"], "--tokenize zh has no effect without BLEU"),
        (["evaluate", "m", "--tokenize", "chinese"], "unknown tokenizer 'chinese'"),
        (["evaluate", "m", "--metrics", "BLEU=zh"], "--metrics BLEU=zh: BLEU takes no setting (BLEU's is --tokenize)"),
        (["evaluate", "m", "--metrics", "COMET"], "COMET needs a model: --metrics COMET=MODEL"),
        (["evaluate", "m", "--lang", "zh"], "--lang has no effect on a model's answers where xquad_en.run.json says"),
        (["evaluate", "none.jsonl", "--task", "qa", "--lang", "zh"], "there is no file none.jsonl"),
        (["evaluate", "x.jsonl"], "x.jsonl has no run.json beside it, which says what it holds; give --task"),
        (["evaluate", "x.jsonl", "--task", "qa", "--lang", "xx"], "unknown language code 'xx'"),
        (["evaluate", "x.jsonl", "--task", "quiz", "--lang", "zh"], "unknown value of --task 'quiz'"),
        (["evaluate", "x.jsonl", "--task", "qa", "--lang", "zh"], "a row (id 1) has no 'output' to score against"),
        (["evaluate", "mixed.jsonl", "--task", "qa", "--lang", "zh"], "mixed.jsonl mixes datasets (a, b)"),
        (["evaluate", "torn.jsonl", "--task", "qa", "--lang", "zh"], "malformed JSON: torn.jsonl, line 2"),
        (
            ["evaluate", "bare.jsonl", "--task", "qa", "--lang", "zh"],
            "bare.jsonl, row 1: its 'prediction' must be text",
        ),
        (["evaluate", "twice.jsonl", "--task", "qa", "--lang", "zh"], "row 2: the id '1' was there before"),
        (["evaluate", "empty.jsonl", "--task", "qa", "--lang", "zh"], "empty.jsonl has no rows"),
        (["evaluate", "odd.jsonl", "--task", "qa", "--lang", "zh"], "odd.jsonl, row 1: its 'answers' must be a list"),
        (["evaluate", "number.jsonl", "--task", "qa", "--lang", "zh"], "number.jsonl, row 1: its 'id' must be text"),
        (
            ["evaluate", "label.jsonl", "--task", "label", "--lang", "zh"],
            "the output of a row (id 1) is none of its la",
        ),
        (["evaluate", "list.jsonl", "--task", "qa", "--lang", "zh"], "list.jsonl, row 1 is [], not an object"),
        (
            ["evaluate", "half.jsonl", "--task", "qa", "--lang", "zh"],
            "row 1: its 'prediction' holds half of a surrogate",
        ),
        (["evaluate", "halves.jsonl", "--task", "qa", "--lang", "zh"], "row 1: its 'answers' hold half of a surrogate"),
        (
            ["evaluate", "measured.jsonl", "--task", "label", "--lang", "zh"],
            "row 1: its 'label_scores' must give each label per_token and per_byte",
        ),
        (["evaluate", "m", "xquad_en", "--tokenize", "zh"], "--tokenize has no effect: these answers have no BLEU"),
        (["evaluate", "broken.inference.jsonl"], "broken.run.json doesn't say which datasets were answered"),
        (["evaluate", "--hypotheses", "x.jsonl"], "--references is missing; as: --hypotheses FILE --references FILE"),
        (["evaluate", "--hypotheses", "x.jsonl", "--references", "x.jsonl"], "--lang is missing"),
        (
            ["evaluate", "--hypotheses", "x.jsonl", "--references", "no", "--lang", "zh"],
            "--references: there is no file",
        ),
        (
            ["evaluate", "--hypotheses", "x.jsonl", "--references", "mixed.jsonl", "--lang", "zh"],
            "has 2 lines, x.jsonl",
        ),
    ],
)
def test_mistakes_are_one_line(cli, model, tmp_path, monkeypatch, words, message):
    folder = model("m", CLOSE, ["", ""])
    monkeypatch.chdir(tmp_path)
    row = {"id": "1", "prediction": "a"}
    write_jsonl(tmp_path / "x.jsonl", [row])
    write_jsonl(tmp_path / "mixed.jsonl", [{**row, "output": "a", "from": name} for name in "ab"])
    write_jsonl(tmp_path / "twice.jsonl", [row, row])
    write_jsonl(tmp_path / "bare.jsonl", [{"id": "1", "output": "a"}])
    write_jsonl(tmp_path / "odd.jsonl", [{**row, "output": "abc", "answers": "abc"}])
    write_jsonl(tmp_path / "number.jsonl", [{**row, "output": "a", "id": ["1"]}])
    write_jsonl(tmp_path / "label.jsonl", [{**row, "output": "Perhaps", "labels": ["Yes", "No"]}])
    write_jsonl(tmp_path / "list.jsonl", [[], []])
    (tmp_path / "half.jsonl").write_text('{"output": "a", "prediction": "\\ud800"}')
    (tmp_path / "halves.jsonl").write_text('{"output": "a", "answers": ["\\udc00"], "prediction": "a"}')
    measured = {"output": "a", "labels": ["a"], "prediction": "a", "label_scores": {"a": {"per_token": -1}}}
    write_jsonl(tmp_path / "measured.jsonl", [measured])
    write_jsonl(tmp_path / "broken.inference.jsonl", [{**row, "from": "a"}])
    write_json(tmp_path / "broken.run.json", {"mixture": {}})
    (tmp_path / "torn.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row)[:9])
    (tmp_path / "empty.jsonl").write_text("\n")
    outcome = cli(*words)
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1 and not outcome.out
    assert not list(folder.rglob("*.metrics.json")) and not list(tmp_path.glob("*.metrics.json"))


def test_answers_that_aren_t_those_that_were_asked_are_refused(cli, llama, sample, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(llama, folder)
    assert cli("infer", folder, "xquad_zh[:3]", "--max_new_tokens", "1").code == 0
    path = folder / "test" / "xquad_zh.first3.inference.jsonl"
    assert cli("evaluate", path).code == 0 and cli("evaluate", folder).code == 0
    rows = read_jsonl(path)
    write_jsonl(path, rows[:2])
    assert "has other rows than were asked; answer again: infer --overwrite" in cli("evaluate", folder).err
    write_jsonl(path, [*rows[:2], {**rows[2], "from": "xquad_en"}])
    assert "unknown dataset of a row" in cli("evaluate", folder).err


@pytest.mark.slow
def test_scores_of_an_older_version_stay_out_of_the_card(cli, llama, sample, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(llama, folder)
    train = ["train", folder, "alpaca_en[:4]", "--max_steps", "1", "--output_dir", tmp_path / "tuned"]
    assert cli(*train).code == 0 and cli("infer", tmp_path / "tuned", "xquad_zh[:2]", "--max_new_tokens", "1").code == 0
    write_json(tmp_path / "tuned" / "test" / "old.metrics.json", {"scores": []})
    outcome = cli("evaluate", tmp_path / "tuned", "xquad_zh[:2]")
    assert outcome.code == 0 and "old.metrics.json was written by another version of xllm; score again" in outcome.err
    lines = (tmp_path / "tuned" / "README.md").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("|") and "exact_match" in line]
    assert len(re.split(r"(?<!\\)\|", line)) == 8  # six cells: the signature's own bars are escaped


def test_a_model_that_was_fetched_and_not_tuned_has_no_card(cli, model):
    folder = model("fetched", CLOSE, ["1864", "Bell House"])
    write_json(folder / "run.json", {"command": ["python"], "fetched": "smollm2-135m"})
    assert cli("evaluate", folder).code == 0 and not (folder / "README.md").exists()


def test_scores_are_one_table_in_pandas(cli, model):
    folder = model("m", CLOSE, ["1864", "Bell House"])
    both = read_jsonl(folder / "test" / "translation_x_en-zh.inference.jsonl")
    both += read_jsonl(folder / "test" / "xquad_en.inference.jsonl")
    save(folder, "both[:2]", both, ("translation_x_en-zh", "translation", "zh"), ("xquad_en", "qa", "en"))
    assert cli("evaluate", folder, "both[:2]").code == 0
    table = pandas.read_json(folder / "test" / "both[:2].metrics.json")
    columns = "dataset from task language kind metric value low high interval count signature model command answers_sha256 format"
    assert list(table.columns) == columns.split()
    assert [str(table[name].dtype) for name in ("value", "low", "high", "count")] == [*["float64"] * 3, "int64"]
    scores = table[table.kind == "score"]
    assert list(zip(scores["from"], scores.metric, strict=True))[:2] == [
        ("translation_x_en-zh", "BLEU"),
        ("translation_x_en-zh", "chrF++"),
    ]
    assert set(table.dataset) == {"both.first2"} and set(table.kind) == {"score", "share"}
    assert scores[scores["from"] == "xquad_en"].low.notna().all() and set(scores.interval.dropna()) == {
        "wilson",
        "bootstrap",
    }
    assert not table.duplicated(["from", "kind", "metric"]).any()
