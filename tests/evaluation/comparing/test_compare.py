"""Putting models side by side: the table, what is chance, the rows that differ most."""

import re

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

from xllm.evaluation.measured import mean
from xllm.evaluation.metrics import classification, translation
from xllm.evaluation.significance import difference, holm, interval, resampled
from xllm.files import read_jsonl, write_json, write_jsonl

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "looked",
    "at",
    "some",
    "bird",
    "while",
    "it",
    "was",
    "raining",
    "over",
    "old",
    "town",
]


def worsened(text: str, rate: float, rng: np.random.Generator) -> str:
    return " ".join(word for word in text.split() if rng.random() > rate)


@pytest.fixture
def model(tmp_path):
    """A folder that passes for a model, with answers to a parallel set, to questions, and to inference."""

    def make(name: str, rate: float):
        folder, rng = tmp_path / name, np.random.default_rng(7)
        sentences = [" ".join(rng.choice(WORDS, size=8 + i % 9)) for i in range(40)]
        noise = np.random.default_rng(int(1000 * rate))
        asked = {
            "translation_x_zh-en": ("translation", "en", [{"output": text} for text in sentences]),
            "xquad_en": ("qa", "en", [{"output": text, "answers": [text, "x"]} for text in sentences[:20]]),
            "xquad_de": ("qa", "de", [{"output": text, "answers": [text]} for text in sentences[20:]]),
            "xnli_en": (
                "label",
                "en",
                [{"output": "Yes" if i % 3 else "No", "labels": ["Yes", "No"]} for i in range(30)],
            ),
        }
        (folder / "test").mkdir(parents=True)
        write_json(folder / "config.json", {})
        for dataset, (task, language, golds) in asked.items():
            rows = [
                {"id": str(i), "instruction": "Answer.", "input": "x" * (1 + i), **gold, "from": dataset}
                for i, gold in enumerate(golds)
            ]
            answers = [
                (row["output"] if noise.random() > rate else "No")
                if task == "label"
                else worsened(row["output"], rate, noise)
                for row in rows
            ]
            save(
                folder,
                dataset,
                [{**row, "prediction": a} for row, a in zip(rows, answers, strict=True)],
                task,
                language,
            )
        return folder

    return make


def save(folder, dataset, rows, task, language, of=None):
    write_jsonl(folder / "test" / f"{dataset}.inference.jsonl", rows)
    terms = [{"from": of or dataset, "task": task, "language": language}]
    write_json(folder / "test" / f"{dataset}.run.json", {"mixture": {"terms": terms}})


def table(out: str) -> list[list[str]]:
    """The cells of the table, the first line being its header."""
    lines = out.split("\n\n")[1].splitlines()
    edges = [match.span() for match in re.finditer("-+", lines[1])]
    return [[line[start:end].strip() for start, end in edges] for line in (lines[0], *lines[2:])]


@pytest.mark.slow
def test_models_stand_side_by_side_with_what_is_chance(cli, model):
    base, tuned = model("base", 0.4), model("tuned", 0.1)
    outcome = cli("compare", base, tuned, "--dataset", "translation_x_zh-en,xquad_en")
    assert outcome.out.startswith("A  base\nB  tuned\n\n")
    header, *lines = table(outcome.out)
    assert header == [
        *("dataset", "metric", "rows", "model", "score", "95 %", "Δ to A", "95 % of Δ"),
        *("p bootstrap", "p randomised", "p Holm", "p sacrebleu"),
    ]
    assert [line[1] for line in lines[::2]] == ["BLEU", "chrF++", "exact_match", "f1", "contains"]
    assert [line[3] for line in lines] == ["A", "B"] * 5
    for a, b in zip(lines[::2], lines[1::2], strict=True):
        score = float(b[4].strip("*"))
        assert b[4].startswith("**") and not a[4].startswith("*")  # the best is bold
        assert score - float(a[4]) == pytest.approx(float(b[6]), abs=0.011)
        low, high = map(float, b[5].split(" to "))
        assert low <= score <= high
    gold = [row["output"] for row in read_jsonl(base / "test" / "translation_x_zh-en.inference.jsonl")]
    answers = [row["prediction"] for row in read_jsonl(tuned / "test" / "translation_x_zh-en.inference.jsonl")]
    assert "\nBLEU  nrefs:1|case:mixed|eff:no|tok:13a|" in outcome.out and "\nf1  squad_v1.1|lang:en|" in outcome.out
    assert lines[1][4] == f"**{BLEU().corpus_score(answers, [gold]).score:.2f}**"
    assert cli("compare", base, tuned).out.count("xnli_en") == 2  # without --dataset all that both have answered


@pytest.mark.slow
def test_the_tests_of_sacrebleu_s_metrics_are_sacrebleu_s_own(model):
    systems = [
        read_jsonl(model(name, rate) / "test" / "translation_x_zh-en.inference.jsonl")
        for name, rate in (("a", 0.2), ("b", 0.25))
    ]
    references = [[row["output"] for row in systems[0]]]
    named = [(name, [row["prediction"] for row in rows]) for name, rows in zip("ab", systems, strict=True)]
    metrics = {"BLEU": BLEU(), "chrF++": CHRF(word_order=2), "TER": TER()}
    ours = {"BLEU": translation.bleu, "chrF++": translation.chrf, "TER": translation.ter}
    for kind in ("bs", "ar"):
        _, theirs = PairedTest(named, dict(metrics), references, test_type=kind, n_samples=0)()
        for name, metric in ours.items():
            one, other = (metric(rows, "en", None) for rows in systems)
            drawn = resampled([one, other])
            found = difference(one, other, drawn)
            _, expected = theirs[_key(theirs, name)]
            assert other.value == pytest.approx(expected.score)
            if kind == "ar" and name != "TER":  # whose few values often tie, which sacrebleu doesn't count
                assert found.p_randomised == expected.p_value
            if kind == "bs":
                assert found.p_sacrebleu == expected.p_value
                low, high = interval(drawn[1])
                assert (high - low) / 2 == pytest.approx(expected.ci, rel=1e-4)


def _key(theirs, name):
    return next(key for key in theirs if key.replace("2++", "++").startswith(name))


def test_the_interval_of_a_difference_lies_around_it_and_its_p_values_are_two_sided():
    rng = np.random.default_rng(3)
    one = mean(100.0 * (rng.random(400) < 0.5), "")
    other = mean(np.where(rng.random(400) < 0.1, 100.0, one.statistics[:, 0]), "")  # never worse
    found = difference(one, other, resampled([one, other]))
    assert 0 < found.low < found.delta < found.high
    assert (found.p_bootstrap, found.p_randomised) == (1 / 1001, 1 / 10001)
    back = difference(other, one, resampled([other, one]))
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
    turned = np.arange(400) < 13  # a few rows answered otherwise, for better and for worse
    slight = mean(np.where(turned, 100 - one.statistics[:, 0], one.statistics[:, 0]), "")
    unsure = difference(one, slight, resampled([one, slight]))
    assert unsure.low < 0 < unsure.high and unsure.p_bootstrap > 0.05
    assert unsure.p_bootstrap == pytest.approx(unsure.p_randomised, abs=0.1)


@pytest.mark.slow
def test_rows_count_once(cli, model):
    """Whatever is named twice, and whatever else its rows were answered in."""
    base, tuned = model("base", 0.4), model("tuned", 0.1)
    for folder in (base, tuned):
        rows = read_jsonl(folder / "test" / "xquad_en.inference.jsonl")[:5]
        save(folder, "xquad_en[:5]", rows, "qa", "en", of="xquad_en")
    _, *lines = table(cli("compare", base, tuned, "--dataset", "xquad_en,xquad_en,xquad_en[:5]").out)
    assert [(line[0], line[2]) for line in lines if line[1] == "f1"] == [("xquad_en", "20"), ("xquad_en.first5", "5")]
    outcome = cli("compare", base, tuned, "--by", "language")
    assert outcome.code == 2 and "share rows; name one of them: --dataset" in outcome.err

    for folder in (base, tuned):
        (folder / "test" / "xquad_en[:5].inference.jsonl").unlink()
        parts = [read_jsonl(folder / "test" / f"xquad_{language}.inference.jsonl") for language in ("de", "en")]
        save(folder, "xquad_de+xquad_en", [row for part in parts for row in part], "qa", "en")
        terms = [{"from": f"xquad_{language}", "task": "qa", "language": language} for language in ("de", "en")]
        write_json(folder / "test" / "xquad_de+xquad_en.run.json", {"mixture": {"terms": terms}})
    for by, ends in (("from", [""]), ("length", [", 0 to 6", ", 7 to 11", ", 12 to 16", ", 17 to 20"])):
        _, *lines = table(cli("compare", base, tuned, "--by", by).out)
        found = [(line[0], line[2]) for line in lines if line[1] == "f1" and line[0].startswith("xquad_en")]
        assert len(found) == 2 * len(ends) and sum(int(rows) for _, rows in found) == 40, found
        assert len({name for name, _ in found if "(xquad_de+xquad_en)" in name}) == len(ends)
    assert "share rows" in cli("compare", base, tuned, "--by", "language").err


def test_rows_without_an_input_are_shown_without_what_commands_a_terminal(cli, model):
    base, tuned = model("base", 0.0), model("tuned", 0.0)
    for folder, answer in ((base, "\x1b[31mred\x9b"), (tuned, "blue")):
        rows = [{"id": "0", "output": "blue", "from": "xquad_fr", "prediction": answer}]
        save(folder, "xquad_fr", rows, "qa", "fr")
    for by in ("from", "length"):
        outcome = cli("compare", base, tuned, "--dataset", "xquad_fr", "--by", by, "--examples", "1")
        assert outcome.code == 0 and "\ufffd[31mred\ufffd" in outcome.out and "\x1b" not in outcome.out


@pytest.mark.slow
def test_equal_rows_are_no_examples_and_empty_sets_no_lines(cli, model):
    base, tuned = model("base", 0.0), model("tuned", 0.0)
    for folder in (base, tuned):
        rows = [{"id": "0", "output": "", "labels": ["a"], "from": "xnli_de", "prediction": "a"}]  # not published
        save(folder, "xnli_de", rows, "label", "de")
    outcome = cli("compare", base, tuned, "--examples", "3", "--by", "length")
    assert outcome.code == 0 and ", id " not in outcome.out and "xnli_de" not in outcome.out


@pytest.mark.slow
def test_p_values_hold_where_there_is_no_difference():
    """Of 200 pairs of equally good systems, about one in twenty may differ at 5 %: within 4 standard errors."""
    rng = np.random.default_rng(1)
    for test in ("p_bootstrap", "p_randomised"):
        small = 0
        for _ in range(200):
            one, other = (mean(100.0 * (rng.random(60) < 0.5), "") for _ in range(2))
            small += getattr(difference(one, other, resampled([one, other], 200)), test) < 0.05
        assert small <= 10 + 4 * (200 * 0.05 * 0.95) ** 0.5


def test_equal_answers_don_t_differ():
    values = mean([0, 100, 100, 50], "")
    found = difference(values, values, resampled([values, values]))
    assert (found.delta, found.low, found.high, found.p_randomised) == (0, 0, 0, pytest.approx(1, abs=1e-3))


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5], [0.5]),
        ([0.6, 0.7], [1, 1]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([], []),
    ],
)
def test_holm_corrects_for_many_datasets(p_values, corrected):
    assert holm(p_values) == pytest.approx(corrected)


def test_the_table_s_correction_is_over_the_datasets_of_a_metric(cli, model):
    base, tuned = model("base", 0.3), model("tuned", 0.2)
    _, *lines = table(cli("compare", base, tuned, "--dataset", "xquad_en,xquad_de").out)
    f1 = [line for line in lines if line[8]][1::3]
    assert [float(line[10]) for line in f1] == pytest.approx(holm([float(line[9]) for line in f1]), abs=2e-4)


def test_parts_by_length_and_language(cli, model):
    base, tuned = model("base", 0.4), model("tuned", 0.1)
    _, *lines = table(cli("compare", base, tuned, "--dataset", "xquad_en", "--by", "length").out)
    assert [(line[0], line[2]) for line in lines if line[1] == "f1"] == [
        ("xquad_en, 0 to 6 characters", "6"),
        ("xquad_en, 7 to 11 characters", "5"),
        ("xquad_en, 12 to 16 characters", "5"),
        ("xquad_en, 17 to 20 characters", "4"),
    ]
    save(base, "mlqa_de", rows := read_jsonl(base / "test" / "xquad_de.inference.jsonl"), "qa", "de")
    save(tuned, "mlqa_de", [{**row, "prediction": row["output"]} for row in rows], "qa", "de")
    for folder in (base, tuned):
        path = folder / "test" / "mlqa_de.inference.jsonl"
        write_jsonl(path, [{**row, "from": "mlqa_de"} for row in read_jsonl(path)])
    _, *lines = table(cli("compare", base, tuned, "--dataset", "xquad_en,xquad_de,mlqa_de", "--by", "language").out)
    assert [(line[0], line[2]) for line in lines if line[1] == "f1"] == [("en, qa", "20"), ("de, qa", "40")]


def test_rows_that_differ_most_are_shown_and_written_as_html(cli, model, tmp_path):
    base, tuned = model("base", 0.4), model("tuned", 0.39)
    for folder, wrong, right in ((base, 1, 0), (tuned, 0, 1)):
        path = folder / "test" / "xquad_en.inference.jsonl"
        rows = read_jsonl(path)
        rows[wrong]["prediction"], rows[right]["prediction"] = "<i>nothing</i>", rows[right]["output"]
        write_jsonl(path, rows)
    html = tmp_path / "page.html"
    words = ("compare", base, tuned, "--dataset", "xquad_en", "--html", html)
    loses, wins = cli(*words, "--examples", "1").out.split("\n\n")[3:]
    assert loses.startswith("xquad_en, id 1: f1 of A 0.0, B 100.0") and f"B      {rows[1]['output']}" in loses
    assert wins.startswith("xquad_en, id 0: f1 of A 100.0, B 0.0") and "B      <i>nothing</i>" in wins
    page = html.read_text()
    assert page.count("<h3>") == 2 and "&lt;i&gt;nothing&lt;/i&gt;" in page and "<script" not in page
    assert len(cli(*words).out.split("\n\n")) == 3 and html.read_text().count("<h3>") > 2  # ten of each on a page


def test_less_is_better_for_ter(cli, model):
    base, tuned = model("base", 0.4), model("tuned", 0.1)
    _, a, b = table(cli("compare", base, tuned, "--dataset", "translation_x_zh-en", "--metrics", "TER").out)
    assert float(b[6]) < 0 and b[4].startswith("**") and not a[4].startswith("**")


def test_scored_labels_are_compared_where_all_models_have_them(cli, model):
    base, tuned = model("base", 0.4), model("tuned", 0.1)
    for folder in (base, tuned):
        _, *lines = table(cli("compare", base, tuned, "--dataset", "xnli_en").out)
        assert "accuracy_per_token" not in {line[1] for line in lines}
        path = folder / "test" / "xnli_en.inference.jsonl"
        scores = {label: {"sum": 0, "per_token": 0, "per_byte": 0} for label in ("Yes", "No")}
        write_jsonl(path, [{**row, "label_scores": scores} for row in read_jsonl(path)])
    assert "accuracy_per_token" in cli("compare", base, tuned, "--dataset", "xnli_en").out


def test_macro_f1_is_taken_anew_for_each_draw():
    rows = [{"output": gold, "prediction": answer, "labels": ["a", "b"]} for gold, answer in ("aa", "ab", "bb", "bb")]
    found = classification.macro_f1(rows, "en", None)
    assert found.value == pytest.approx(100 * (2 / 3 + 4 / 5) / 2)
    assert found.part([2, 3]).value == 100  # a class that doesn't occur doesn't count


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare", "base"], "compare needs two models"),
        (["compare", "base", "tuned", "--dataset"], "--dataset needs a value"),
        (
            ["compare", "base", "tuned", "--dataset", "xquad_zh"],
            "unknown answered dataset of base 'xquad_zh'",
        ),
        (
            ["compare", "base", "tuned", "--by", "size"],
            "unknown value of --by 'size'; available: from, language, length",
        ),
        (["compare", "base", "tuned", "--examples", "-1"], "--examples -1: it must be a whole number, 0 or more"),
        (["compare", "base", "tuned", "--dataset", "xquad_en", "--metrics", "BLEU"], "BLEU doesn't fit these answers"),
        (["compare", "base", "nowhere"], "unknown model 'nowhere'"),
        (["compare", "base", "./base"], "base is there twice; compare needs different models"),
        (["compare", "base", "tuned", "--dataset", "open"], "there is nothing to score in these answers"),
        (
            ["compare", "base", "fewer", "--dataset", "xquad_en"],
            "fewer and base have answered different rows of xquad_en",
        ),
        (["compare", "base", "others", "--dataset", "xquad_en"], "others and base have answered different rows of"),
    ],
)
def test_mistakes_are_one_line(cli, model, tmp_path, monkeypatch, words, message):
    folders = {name: model(name, 0.3) for name in ("base", "tuned", "fewer", "others")}
    for folder in folders.values():
        save(folder, "open", [{"id": "0", "input": "x", "output": "", "prediction": "y", "from": "open"}], None, "en")
    path = folders["fewer"] / "test" / "xquad_en.inference.jsonl"
    write_jsonl(path, read_jsonl(path)[:-1])
    path = folders["others"] / "test" / "xquad_en.inference.jsonl"
    write_jsonl(path, [{**row, "input": "another"} for row in read_jsonl(path)])
    monkeypatch.chdir(tmp_path)
    outcome = cli(*words)
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1 and not outcome.out
