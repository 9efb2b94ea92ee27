"""Scores of several models in one table: Markdown, CSV, LaTeX, HTML, plots."""

import csv
import io
import json
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import pandas
import pytest
from pandas._libs.parsers import STR_NA_VALUES
from PIL import Image

from tests.conftest import HOME
from xllm import languages
from xllm.artifacts import scores
from xllm.artifacts.scores import Score, Scored
from xllm.evaluation.reporting import text
from xllm.evaluation.reporting.table import make, read
from xllm.files import read_json, write_json, write_jsonl

SHARES = [Score("wrong_language", 2.5, 40, "lid"), Score("empty", 12.5, 80, "xllm:0"), Score("failed", 0, 80, "xllm:0")]


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder of models, below the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    return tmp_path / "model"


def score(model, dataset, *given, task="qa", language="en", stem=None, ids=None):
    """Write the scores of a dataset as `evaluate` does, and what `infer` says of the answers."""
    test = model / "test"
    found = [Scored(dataset, task, language, list(given), SHARES)]
    command = ["python", "-m", "xllm", "evaluate", model.name, dataset]
    scores.write(test / f"{stem or dataset}.metrics.json", model.name, dataset, command, "5ha256", found)
    facts = {"command": ["python", "-m", "xllm", "infer", model.name, dataset], "ids_sha256": ids or dataset}
    facts |= {"mixture": {"split": "test"}, "template": "alpaca", "decoding": {"num_beams": 3, "top_p": None}}
    write_json(test / f"{dataset}.run.json", facts)


def f1(value, signature="squad|lang:en", count=80):
    return Score("f1", value, count, signature, value - 1, value + 2)


def table_of(out):
    """The lines of a Markdown table by their first and third cell, the dataset and the metric."""
    lines = [line.replace("\\|", "¦").split("|")[1:-1] for line in out.splitlines() if line.startswith("|")]
    cells = [[cell.strip().strip("`") for cell in line] for line in lines]
    return {(line[0], line[2]): line for line in cells[2:]} | {"header": cells[0]}


def read_csv(folder):
    return list(csv.DictReader(io.StringIO((folder / "report.csv").read_text("utf-8-sig"))))


def test_excel_reads_the_table_as_unicode(cli, models):
    score(models / "a", "xquad_zh", f1(50))
    assert cli("report", "model/a").code == 0
    assert (models.parent / "report" / "report.csv").read_bytes().startswith(b"\xef\xbb\xbfmodel,")


class Page(HTMLParser):
    """The tags of a page, with the text in them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes), []))
        if tag not in ("meta", "br", "link"):
            self.open.append(self.tags[-1])

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for tag in self.open:
            tag[2].append(data)

    def find(self, wanted, **attributes):
        return [
            ("".join(text).strip(), own)
            for tag, own, text in self.tags
            if tag == wanted and all(own.get(key.rstrip("_")) == value for key, value in attributes.items())
        ]


def test_what_evaluate_wrote_is_in_all_four_formats_each_number_with_its_signature(cli, models):
    golds = ["他说了，妈妈，我回来了。", "今天天气很好。"]
    for name, said in (("base", ["他说，妈妈，我回来了。", "天气"]), ("tuned", golds)):
        rows = [
            {
                "id": str(n),
                "instruction": "",
                "input": "x",
                "output": gold,
                "from": "translation_x_en-zh",
                "prediction": own,
            }
            for n, (gold, own) in enumerate(zip(golds, said, strict=True))
        ]
        write_jsonl(models / name / "test" / "translation_x_en-zh.inference.jsonl", rows)
        terms = [{"from": "translation_x_en-zh", "task": "translation", "language": "zh", "rows": 2}]
        write_json(models / name / "test" / "translation_x_en-zh.run.json", {"mixture": {"terms": terms}})
        (models / name / "config.json").write_text("{}")
        assert cli("evaluate", models / name).code == 0
    found = read_json(models / "base" / "test" / "translation_x_en-zh.metrics.json")[0]

    outcome = cli("report", models / "base", models / "tuned")
    assert outcome.code == 0 and outcome.err.splitlines()[0] == "wrote report/report.md"
    line = table_of(outcome.out)["translation_x_en-zh", "BLEU"]
    shown = f"{found['value']:.2f}"
    assert line[4:6] == [shown, "**100.00**"] and table_of(outcome.out)["header"][4:6] == ["base", "tuned"]
    assert f"{line[6]}. `{found['signature']}`" in outcome.out and "tok:zh" in found["signature"]
    assert outcome.out.strip() in (models.parent / "report" / "report.md").read_text()

    [row] = [row for row in read_csv(models.parent / "report") if (row["model"], row["metric"]) == ("base", "BLEU")]
    for key in ("value", "low", "high"):
        assert float(row[key]) == found[key]
    assert row["signature"] == found["signature"] and row["rows"] == "2" and row["status"] == "score"
    assert row["command"] == f"python -m xllm evaluate {models / 'base'} translation_x_en-zh"

    tex = (models.parent / "report" / "report.tex").read_text()
    assert f" & zh & 2 & {shown} & \\textbf{{100.00}} \\\\" in tex
    assert "\\textsuperscript{1}~\\texttt{nrefs:\\allowbreak{}1|\\allowbreak{}case:" in tex

    page = Page((models.parent / "report" / "report.html").read_text())
    [(_, link), *_] = [(text, own) for text, own in page.find("a") if text == shown]
    told = link["title"].splitlines()
    assert f"signature: {found['signature']}" in told and "rows: 2" in told
    assert f"95 % interval: {found['low']:.2f} to {found['high']:.2f}" in told


def test_pointing_at_a_number_tells_both_commands_by_mouse_keyboard_and_touch(cli, models):
    score(models / "m", "xquad_en", f1(61.5))
    cli("report", "model/m")
    page = Page((models.parent / "report" / "report.html").read_text())
    [(text, link)] = [(text, own) for text, own in page.find("a") if "scored by" in own.get("title", "")]
    expected = [
        "m: f1 of xquad_en: 61.50",
        "signature: squad|lang:en",
        "rows: 80",
        "95 % interval: 60.50 to 63.50",
        "scored by: python -m xllm evaluate m xquad_en",
        "answered by: python -m xllm infer m xquad_en",
        "sha256 of the answers: 5ha256",
    ]
    assert text == "61.50" and link["title"].splitlines() == expected
    [(entry, _)] = page.find("section", id=link["href"].removeprefix("#"))  # where the link leads
    assert all(line.partition(": ")[2] in entry for line in expected)
    assert not page.find("script") and not [own for _, own, _ in page.tags if own.get("src")]


def test_averages_are_over_the_datasets_that_all_models_have(cli, models):
    for name, values in (("a", (10, 20, 60)), ("b", (30, 50, None))):
        for dataset, value in zip(("xquad_en", "xquad_de", "xquad_el"), values, strict=True):
            if value is not None:
                score(models / name, dataset, f1(value), language=dataset[-2:])
    score(models / "a", "mlqa_en", f1(1), task="mlqa")
    score(models / "b", "mlqa_en", f1(3), task="mlqa")
    lines = table_of(cli("report", "model/a", "model/b").out)
    assert lines["qa: average of 2 of 3 datasets", "f1"][4:6] == [
        "15.00",
        "**40.00**",
    ]  # without xquad_el, which b lacks
    assert lines["en: average of 2 datasets", "f1"][4:6] == ["5.50", "**16.50**"]  # xquad_en and mlqa_en
    assert [key for key in lines if "average" in key[0]] == [
        ("qa: average of 2 of 3 datasets", "f1"),
        ("en: average of 2 datasets", "f1"),
    ]
    rows = [row for row in read_csv(models.parent / "report") if row["status"] == "average"]
    told = [(row["model"], row["dataset"], float(row["value"]), row["signature"]) for row in rows[:2]]
    assert told == [("a", "xquad_de+xquad_en", 15, "squad|lang:en"), ("b", "xquad_de+xquad_en", 40, "squad|lang:en")]


def test_a_dataset_counts_once_in_averages(cli, models):
    own = [Scored(name, "qa", "en", [f1(value)], SHARES) for name, value in (("xquad_en", 10), ("xquad_de", 20))]
    (models / "a").mkdir()
    path = models / "a" / "test" / "xquad_en+xquad_de.metrics.json"
    scores.write(path, "a", "xquad_en+xquad_de", ["python"], "5ha256", own)
    score(models / "a", "xquad_en", f1(40, count=100))
    score(models / "a", "xquad_en", f1(90, count=50), stem="xquad_en[:50]")
    lines = table_of(cli("report", "model/a").out)
    assert lines["qa: average of 2 datasets", "f1"][4] == "30.00"  # of 40 and 20
    assert [key[0] for key in lines if "xquad_en" in key[0]] == [
        "xquad_en",
        "xquad_en (xquad_en+xquad_de)",
        "xquad_en.first50",
    ]
    assert len([key for key in lines if "average" in key[0]]) == 1


def test_scores_of_other_answers_than_are_there_now_are_left_out(cli, models):
    score(models / "a", "xquad_en", f1(50))
    score(models / "a", "xquad_de", f1(40))
    score(models / "a", "xquad_de", Score("win_rate", 40, 80, "judge"), stem="xquad_de.judge.b")
    write_jsonl(models / "a" / "test" / "xquad_de.inference.jsonl", [{"prediction": "anew"}])
    outcome = cli("report", "model/a")
    assert outcome.code == 0 and set(table_of(outcome.out)) == {"header", ("xquad_en", "f1")}
    for name in ("xquad_de", "xquad_de.judge.b"):
        path = models / "a" / "test" / f"{name}.metrics.json"
        assert f"left out: {path.relative_to(models.parent)}, whose scores are of other answers" in outcome.err


def test_missing_cells_are_visible_everywhere(cli, models):
    score(models / "a", "xquad_en", f1(10))
    score(models / "a", "xquad_zh", f1(20), language="zh")
    score(models / "b", "xquad_en", f1(30))
    out = cli("report", "model/a", "model/b").out
    assert table_of(out)["xquad_zh", "f1"][4:6] == ["20.00", "—"]
    folder = models.parent / "report"
    [row] = [row for row in read_csv(folder) if row["status"] == "missing"]
    assert (row["model"], row["dataset"], row["metric"], row["value"]) == ("b", "xquad_zh", "f1", "")
    assert "& zh & 80 & 20.00 & --- \\\\" in (folder / "report.tex").read_text()
    [(text, own)] = Page((folder / "report.html").read_text()).find("td", class_="number missing")
    assert text == "—" and own["title"].startswith("missing: there is no f1 of xquad_zh")
    assert "missing" in (folder / "bars-f1.svg").read_text()


@pytest.mark.parametrize(
    "other",
    [
        {"scores": f1(90, "squad|lang:zh")},
        {"scores": f1(90, count=79)},
        {"scores": f1(90), "ids": "others"},
    ],
    ids=["signature", "count", "rows"],
)
def test_what_was_measured_otherwise_stands_in_a_line_of_its_own(cli, models, other):
    score(models / "a", "xquad_en", f1(10))
    score(models / "b", "xquad_en", other.pop("scores"), **other)
    for name in "ab":
        score(models / name, "xquad_de", f1(50))
    out = cli("report", "model/a", "model/b").out
    lines = [line for line in out.splitlines() if line.startswith("| `xquad_en`")]
    assert len(lines) == 2 and all("—" in line and "**" not in line for line in lines)
    if other:
        assert "80 (ids xquad_)" in lines[0] and "80 (ids others)" in lines[1]
    assert table_of(out)["qa: average of 1 of 2 datasets", "f1"][4:6] == ["**50.00**"] * 2


def test_answers_from_elsewhere_that_have_no_run_json_stand_beside_the_others(cli, models):
    score(models / "a", "xquad_en", f1(10))
    score(models / "org--b", "xquad_en", f1(30))
    (models / "org--b" / "test" / "xquad_en.run.json").unlink()
    assert table_of(cli("report", "model/org--b", "model/a").out)["xquad_en", "f1"][4:6] == ["**30.00**", "10.00"]


def test_the_best_ter_is_the_lowest_and_equal_numbers_are_equally_good(cli, models):
    for name, ter, accuracy in (("a", 40.001, 70), ("b", 55, 90), ("c", 40.004, 80)):
        score(models / name, "x", Score("TER", ter, 9, "ter"), Score("accuracy", accuracy, 9, "exact"))
    lines = table_of(cli("report", "model/a", "model/b", "model/c").out)
    assert lines["x", "TER"][4:7] == ["**40.00**", "55.00", "**40.00**"]
    assert lines["x", "accuracy"][4:7] == ["70.00", "**90.00**", "80.00"]


NUMBERS = ["007", "1e5", "inf", "-Infinity", "TRUE", "False", "1_0"]
PLAIN = ["=1+1", "+x", "-x", "@x", "'", '"', "a,b", "null-7b", "nano", "2026-01-01", "0x10", "Na", " "]


@pytest.mark.parametrize("name", [*sorted(STR_NA_VALUES - {""}), *NUMBERS, *PLAIN])
def test_names_stay_text_in_pandas(models, name):
    score(models / "m", "nan", f1(10), language="nan")  # an alias, and Min Nan
    written = text.comma_separated(make([read(name, models / "m")]))
    frame = pandas.read_csv(io.StringIO(written))
    assert set(frame.model) == {name if name in PLAIN else f"model/{name}"}
    assert set(frame.dataset) == {"alias_nan"} and set(frame.language) == {"zh-nan"}
    assert {languages.base(code) for code in frame.language} == {"nan"}
    assert frame.value.dtype == float and frame.low.notna().sum() == 1  # a share has no interval
    assert {row["model"] for row in csv.DictReader(io.StringIO(written))} == set(frame.model)


def test_a_model_named_na_is_in_the_report(cli, models):
    for name in ("NA", "007"):
        score(models / name, "x_y", f1(10))
    assert cli("report", "model/NA", "model/007").code == 0
    frame = pandas.read_csv(models.parent / "report" / "report.csv")
    assert set(frame.model) == {"model/NA", "model/007"} and not frame.model.isna().any()
    for name in set(frame.model):
        assert cli("report", name).code == 0  # as it can be typed


def test_names_mean_nothing_to_markdown_html_and_latex(cli, models):
    name = "a&b_<x>$1$|`2`%#{}"
    score(models / name, "x_y", f1(10, "a|b_c"))
    score(models / "_plain", "x_y", f1(20, "a|b_c"))
    outcome = cli("report", f"model/{name}", "model/_plain")
    assert outcome.code == 0
    assert "`` a&b_<x>$1$\\|`2`%#{} ``" in outcome.out and "1. `a|b_c`" in outcome.out
    folder = models.parent / "report"
    assert {row["model"] for row in read_csv(folder)} == {name, "_plain"}
    page = Page((folder / "report.html").read_text())
    assert [text for text, own in page.find("th", class_="number")] == [name, "_plain"] and not page.find("x")
    tex = (folder / "report.tex").read_text()
    typed = "a\\&b\\_\\allowbreak{}<x>\\symbol{36}1\\symbol{36}|\\allowbreak{}\\symbol{96}2\\symbol{96}\\%\\#\\symbol{123}\\symbol{125}"
    assert f"\\texttt{{{typed}}}" in tex
    assert tex.count("{") == tex.count("}") and tex.count("\\begin{") == tex.count("\\end{")
    svg = ElementTree.parse(folder / "bars-f1.svg")
    assert {name, "_plain"} <= {text.strip() for text in svg.getroot().itertext()}


def test_long_names_get_numbers_and_a_legend(cli, models):
    long = "llama-7b-hf.alpaca_en+alpaca_zh+translation_ncwm_en-zh.finetune"
    for name in ("base", long):
        score(models / name, "xquad_en", f1(len(name)))
    out = cli("report", "model/base", f"model/{long}").out
    assert table_of(out)["header"][4:6] == ["M1", "M2"] and f"- M2: `{long}`" in out
    for file in ("report.tex", "report.html", "bars-f1.svg"):
        text = (models.parent / "report" / file).read_text().replace("\\allowbreak{}", "").replace("\\_", "_")
        assert long in text


def test_plots_are_pictures_and_a_radar_needs_three_spokes(cli, models):
    for name in "ab":
        for dataset in ("xquad_de", "xquad_en", "xquad_zh"):
            if (name, dataset) != ("b", "xquad_zh"):
                score(models / name, dataset, f1(50), *([Score("BLEU+/x", 5, 9, "s")] if dataset < "xquad_z" else []))
    assert cli("report", "model/a", "model/b").code == 0
    folder = models.parent / "report"
    stems = {"bars-f1", "radar-f1", "bars-BLEU+_x"}
    assert {path.name for path in folder.iterdir()} == {
        *(f"report.{ending}" for ending in ("md", "csv", "tex", "html")),
        *(f"{stem}.{ending}" for stem in stems for ending in ("png", "svg")),
    }
    for stem in stems:
        with Image.open(folder / f"{stem}.png") as picture:
            assert picture.width > 400 and len(picture.convert("RGB").getcolors(1 << 20)) > 10
        svg = (folder / f"{stem}.svg").read_text()
        shown = {text.strip() for text in ElementTree.fromstring(svg).itertext()}
        assert {"a", "b", "xquad_de", "xquad_en"} <= shown and ("xquad_zh" in shown) == ("f1" in stem)
    page = (folder / "report.html").read_text()
    ids = [own["id"] for _, own, _ in Page(page).tags if "id" in own]
    assert page.count("<svg") == 3 and len(ids) == len(set(ids))


def test_the_same_scores_give_the_same_bytes(cli, models):
    for dataset in ("xquad_de", "xquad_en", "xquad_zh"):
        score(models / "a", dataset, f1(50))
    written = []
    for output in ("one", "two"):
        assert cli("report", "model/a", "--output", output).code == 0
        written.append({path.name: path.read_bytes() for path in (models.parent / output).iterdir()})
    assert written[0] == written[1] and len(written[0]) == 8


def test_files_of_a_folder_that_is_there_are_replaced_and_the_others_stay(cli, models):
    folder = models.parent / "out"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    (folder / "bars-old.png").write_text("old")
    (folder / "report.md").write_text("old")
    score(models / "a", "xquad_en", f1(50))
    outcome = cli("report", "model/a", "--output", folder)
    assert (folder / "mine.txt").read_text() == "mine" and "xquad_en" in (folder / "report.md").read_text()
    assert f"of an earlier report: {folder / 'bars-old.png'}" in outcome.err


def test_shares_of_flawed_answers_and_settings_are_told(cli, models):
    score(models / "a", "xquad_en", f1(50))
    training = {"num_train_epochs": 3, "learning_rate": 2e-5, "seed": 42}
    run = {"command": ["python", "-m", "xllm", "train", "base", "alpaca_en"], "base": {"name": "base"}}
    run |= {"mixture": {"text": "alpaca_en*2"}, "rows_a_step": 128, "versions": {"torch": "2.13.0"}}
    run |= {"encoding": {"template": "alpaca", "model_max_length": 512}, "training": training}
    write_json(models / "a" / "run.json", run)
    cli("report", "model/a")
    text = (models.parent / "report" / "report.md").read_text()
    assert "| `a`     | `xquad_en` | en         | 2.5" in text
    page = Page((models.parent / "report" / "report.html").read_text())
    rows = [[cell for cell in text.splitlines() if cell] for text, _ in page.find("tr")]
    told = " ".join(cell for row in rows for cell in row)
    for setting in (
        "rate2e-05",
        "epochs3",
        "step128",
        "mixturealpaca_en*2",
        "torch 2.13.0",
        "num_beams 3",
        "split test",
    ):
        assert setting in told
    [share] = [row for row in read_csv(models.parent / "report") if row["metric"] == "wrong_language"]
    assert (share["value"], share["rows"], share["signature"], share["status"]) == ("2.5", "40", "lid", "share")


def test_a_mixture_is_told_by_its_datasets_and_a_judge_s_scores_apart_from_others(cli, models):
    own = [Scored(name, "qa", "en", [f1(value)], SHARES) for name, value in (("xquad_en", 10), ("xquad_de", 20))]
    path = models / "a" / "test" / "xquad_en+xquad_de.metrics.json"
    scores.write(path, "a", "xquad_en+xquad_de", ["python"], "5ha256", own)
    score(models / "b", "xquad_en", f1(30))
    score(models / "b", "xquad_en", Score("win_rate", 40, 80, "judge"), stem="xquad_en.judge.a")
    lines = table_of(cli("report", "model/a", "model/b").out)
    assert lines["xquad_en", "f1"][4:6] == ["10.00", "**30.00**"] and lines["xquad_de", "f1"][4:6] == ["20.00", "—"]
    assert lines["xquad_en.judge.a", "win_rate"][4:6] == ["—", "40.00"]
    page = Page((models.parent / "report" / "report.html").read_text())
    [own] = [own for text, own in page.find("a") if text == "40.00"]
    assert "answered by: python -m xllm infer b xquad_en" in own["title"]


def test_votes_are_counted_with_their_intervals(cli, models):
    for name in ("a", "b", "org--c"):
        score(models / name, "xquad_en", f1(50))
    cast = [{"models": ["model/a", "b"], "vote": "b"}] * 8 + [{"models": ["b", "a"], "vote": "a"}]
    cast += [{"models": ["a", "b"], "vote": "both bad"}, {"models": ["a", "gone"], "vote": "tie"}]
    cast += [{"models": ["org/c", "b", "a"], "vote": "org/c"}]
    write_jsonl(models / "votes.jsonl", cast[:5])
    elsewhere = models.parent / "elsewhere"  # a pair's votes may be in two folders' files
    score(elsewhere / "d", "xquad_en", f1(50))
    write_jsonl(elsewhere / "votes.jsonl", cast[5:])
    cli("report", "model/a", "model/b", "model/org--c", elsewhere / "d")
    rows = Page((models.parent / "report" / "report.html").read_text()).find("tr")
    found = [text for text, _ in rows if " %, " in text]
    # 8 of 10: 49.02 to 94.33 by scipy.stats.binomtest(8, 10).proportion_ci(method="wilson")
    assert "ab101 (10.0 %, 1.8 to 40.4)0 (0.0 %, 0.0 to 27.8)1 (10.0 %, 1.8 to 40.4)8 (80.0 %, 49.0 to 94.3)" in found
    assert (
        "aorg--c10 (0.0 %, 0.0 to 79.3)0 (0.0 %, 0.0 to 79.3)0 (0.0 %, 0.0 to 79.3)1 (100.0 %, 20.7 to 100.0)" in found
    )
    assert len(found) == 3 and "## Votes" in (models.parent / "report" / "report.md").read_text()


def test_votes_need_no_scores(cli, models):
    for name in "abc":
        (models / name).mkdir()
    write_jsonl(models / "votes.jsonl", [{"models": ["a", "b"], "vote": "b"}] * 3)
    outcome = cli("report", *sorted(models.iterdir()))
    assert outcome.code == 0 and "| 3 (100.0 %, 43.9 to 100.0)" in outcome.out
    [file] = (models.parent / "report").iterdir()
    assert file.read_text() == outcome.out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"models": ["a", "b"], "vo', "malformed JSON: {path}, line 2"),
        ('{"models": ["a"], "vote": "a"}', "{path}, row 2: 'models' must list the two models or more"),
        (
            '{"models": ["a", "b"], "vote": "c"}',
            "{path}, row 2: 'vote' must be one of a, b, tie, both bad, and is \"c\"",
        ),
        ('{"models": ["a", "b"], "vote": ["a"]}', "{path}, row 2: 'vote' must be one of"),
        ("[]", "{path}, row 2: 'models' must list"),
    ],
)
def test_broken_votes_are_one_line(cli, models, line, message):
    score(models / "a", "xquad_en", f1(50))
    path = models / "votes.jsonl"
    path.write_text('{"models": ["a", "b"], "vote": "tie"}\n' + line + "\n")
    outcome = cli("report", "model/a")
    assert outcome.code == 2 and message.format(path=path) in outcome.err and outcome.err.count("\n") == 1
    assert not (models.parent / "report").exists()


def test_files_and_folders_without_scores_are_left_out(cli, models):
    score(models / "a", "xquad_en", f1(50))
    (models / "README.md").write_text("")
    (models / "base").mkdir()
    outcome = cli("report", *sorted(models.iterdir()), models / "a")
    assert outcome.code == 0 and table_of(outcome.out)["header"][4:-1] == ["a"]
    assert f"left out: {models / 'base'} has no scores in {models / 'base' / 'test'}\n" in outcome.err


def older(path):
    write_json(path, {"model": "a", "scores": [{"metric": "f1", "value": 1}]})


def torn(path):
    path.write_text(path.read_text()[:150])


def lacking(path):
    content = json.loads(path.read_text())
    del content[0]["signature"]
    write_json(path, content)


def no_number(path):
    content = json.loads(path.read_text())
    content[0]["value"] = None
    write_json(path, content)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (older, "{path} was written by another version of xllm; score again: xllm evaluate model/a xquad_en"),
        (torn, "malformed JSON: {path}, line"),
        (lacking, "{path} isn't what evaluate writes"),
        (no_number, "{path} isn't what evaluate writes (f1 is"),
        (lambda path: path.write_bytes(b"\xff"), "{path}, line 1 isn't UTF-8"),
        (lambda path: torn(path.with_name("xquad_en.run.json")), "malformed JSON: model/a/test/xquad_en.run.json"),
        (lambda path: write_json(path.with_name("xquad_en.run.json"), []), "xquad_en.run.json holds a list"),
        (
            lambda path: write_json(path.with_name("xquad_en.run.json"), {"mixture": []}),
            "its 'mixture' isn't an object",
        ),
        (lambda path: write_json(path.with_name("xquad_en.run.json"), {"command": "x"}), "its 'command' isn't a list"),
        (
            lambda path: write_json(path.parent.parent / "run.json", {"encoding": {}}),
            "the run.json of a isn't what train writes (KeyError('training'))",
        ),
    ],
)
def test_broken_files_are_one_line_and_nothing_is_written(cli, models, harm, message):
    score(models / "a", "xquad_en", f1(50))
    path = models / "a" / "test" / "xquad_en.metrics.json"
    harm(path)
    outcome = cli("report", "model/a")
    assert outcome.code == 2 and message.format(path="model/a/test/xquad_en.metrics.json") in outcome.err
    assert outcome.err.count("\n") == 1 and not outcome.out and not (models.parent / "report").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "report needs MODELS; see: xllm report --help"),
        (["model/a", "nowhere"], "unknown model 'nowhere'"),
        (["model/*"], "unknown model 'model/*'"),
        (["org/name"], "org/name has no scores; first: xllm infer org/name DATASET --evaluate"),
        (["model/empty"], "there are no scores of model/empty; first: xllm evaluate"),
        (["model/a", "--out", "x"], "unknown flag '--out'; did you mean --output"),
        (["model/a", "--output"], "--output needs a value"),
        (["model/a", "--output="], "--output is empty"),
        (["model/a", "--output", "model/file"], "--output model/file: there is a file of this name"),
    ],
)
def test_mistakes_are_one_line(cli, models, words, message):
    score(models / "a", "xquad_en", f1(50))
    (models / "empty").mkdir()
    (models / "file").write_text("")
    outcome = cli("report", *words)
    told = [line for line in outcome.err.splitlines() if not line.startswith("left out:")]
    assert outcome.code == 2 and len(told) == 1 and message in told[0] and not outcome.out
    assert not (models.parent / "report").exists() and not list(models.parent.rglob("*.partial"))


def test_a_report_takes_no_torch(models):
    score(models / "a", "xquad_en", f1(50))
    code = "import sys; from xllm.__main__ import main; assert main(['report', 'model/a']) == 0; "
    code += "print(sorted({'torch', 'transformers', 'matplotlib.pyplot'} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(HOME)}, capture_output=True, text=True, check=True
    )
    assert done.stderr.endswith("[]\n")
