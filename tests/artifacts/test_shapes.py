"""Predictions from elsewhere, in the shapes that other tools write."""

import gzip
import json

import datasets
import pandas
import pytest

from xllm.files import read_json
from xllm.mixture.load import load_mixture

DATASET = "xquad_zh"


def lines(rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def samples(rows, *filters):
    return [
        {
            "doc_id": number,
            "doc": {"question": "?", "id": row["id"]},
            "target": str(row["answers"]),
            "arguments": {"gen_args_0": {"arg_0": row["input"], "arg_1": {"until": ["\n"]}}},
            "resps": [["…" + row["output"]]],
            "filtered_resps": [row["output"] if name == filters[0] else "…"],
            **({"filter": name} if name else {}),
        }
        for number, row in enumerate(rows)
        for name in filters
    ]


SHAPES = {
    "by id.json": (lambda rows: json.dumps({row["id"]: row["output"] for row in rows}), "answers by id"),
    "lists of one.json": (lambda rows: json.dumps({row["id"]: [row["output"]] for row in rows}), "answers by id"),
    "on lines.json": (lambda rows: json.dumps({r["id"]: r["output"] for r in rows}, indent=1), "answers by id"),
    "mlqa.jsonl": (lambda rows: json.dumps({row["id"]: row["output"] for row in rows}), "answers by id"),
    "under.json": (lambda rows: json.dumps({"predictions": {r["id"]: r["output"] for r in rows}}), "answers by id"),
    "rows by id.json": (lambda rows: json.dumps({r["id"]: {"prediction": r["output"]} for r in rows}), "rows with a"),
    "windows.json": (lambda rows: "\ufeff" + json.dumps({r["id"]: r["output"] for r in rows}, indent=1), "by id"),
    "ours.jsonl": (lambda rows: lines({"id": r["id"], "prediction": r["output"]} for r in rows), "rows with a"),
    "ours.ndjson": (lambda rows: lines({"id": r["id"], "prediction": r["output"]} for r in rows), "rows with a"),
    "list.json": (lambda rows: json.dumps([{"id": r["id"], "prediction": r["output"]} for r in rows]), "rows with a"),
    "lines.json": (lambda rows: lines({"id": r["id"], "prediction": r["output"]} for r in rows), "rows with a"),
    "data.json": (
        lambda rows: json.dumps({"data": [{"id": r["id"], "prediction": r["output"]} for r in rows]}),
        "rows with a 'prediction'",
    ),
    "squad.json": (
        lambda rows: json.dumps([{"id": r["id"], "prediction_text": r["output"]} for r in rows]),
        "SQuAD predictions",
    ),
    "squad with references.json": (
        lambda rows: json.dumps(
            {
                "predictions": [{"id": r["id"], "prediction_text": r["output"]} for r in rows],
                "references": [{"id": r["id"], "answers": {"text": r["answers"]}} for r in rows],
            }
        ),
        "SQuAD predictions",
    ),
    "generated_predictions.jsonl": (
        lambda rows: lines({"prompt": r["input"], "predict": r["output"], "label": r["output"]} for r in rows),
        "LLaMA-Factory's predictions",
    ),
    "samples_xquad_zh_2026.jsonl": (lambda rows: lines(samples(rows, None)), "samples of lm-evaluation-harness"),
    "samples of two filters.jsonl": (
        lambda rows: lines(samples(rows, "strict", "none")),
        "of the filters strict, none",
    ),
    "columns.json": (
        lambda rows: json.dumps(
            {"predictions": [r["output"] for r in rows], "references": [r["answers"] for r in rows]}
        ),
        "columns",
    ),
    "texts.json": (lambda rows: json.dumps([row["output"] for row in rows]), "answers in the dataset's order"),
    "texts.txt": (lambda rows: "".join(row["output"] + "\r\n" for row in rows), "answers in the dataset's order"),
}


TOOLS = {
    "datasets.jsonl": lambda rows, path: datasets.Dataset.from_list(rows).to_json(path),
    "datasets.json": lambda rows, path: datasets.Dataset.from_list(rows).to_json(path, lines=False),
    "datasets.csv": lambda rows, path: datasets.Dataset.from_list(rows).to_csv(path),
    "pandas.json": lambda rows, path: pandas.DataFrame(rows).to_json(path),
    "pandas records.json": lambda rows, path: pandas.DataFrame(rows).to_json(path, orient="records"),
    "pandas table.json": lambda rows, path: pandas.DataFrame(rows).to_json(path, orient="table"),
    "pandas by id.json": lambda rows, path: pandas.DataFrame(rows).set_index("id").to_json(path, orient="index"),
    "pandas.csv": lambda rows, path: pandas.DataFrame(rows).to_csv(path),
    "pandas.tsv": lambda rows, path: pandas.DataFrame(rows).to_csv(path, sep="\t", index=False),
    "pandas.csv.gz": lambda rows, path: pandas.DataFrame(rows).to_csv(path, index=False),
}


@pytest.fixture
def golds(sample):
    return [dict(row) for row in load_mixture(DATASET, "test")]


def scored(path) -> dict:
    [found] = path.parent.glob("*.metrics.json")
    return {row["metric"]: (row["value"], row["count"]) for row in read_json(found)}


@pytest.mark.parametrize("name", SHAPES)
def test_other_tools_files_are_read_by_their_shape(cli, golds, tmp_path, name):
    make, shape = SHAPES[name]
    path = tmp_path / name
    path.write_text(make(golds), encoding="utf-8")
    outcome = cli("evaluate", path, "--dataset", DATASET)
    assert outcome.code == 0, outcome.err
    assert outcome.err.startswith(f"{path}: 30 ") and shape in outcome.err
    assert scored(path)["exact_match"] == (100, 30) and scored(path)["failed"] == (0, 30)


@pytest.mark.parametrize("name", TOOLS)
def test_what_libraries_write_is_read(cli, golds, tmp_path, name):
    path = tmp_path / name
    rows = [{"id": row["id"], "prediction": row["output"], "answers": row["answers"]} for row in golds]
    TOOLS[name](rows, path)
    outcome = cli("evaluate", path, "--dataset", DATASET)
    assert outcome.code == 0, outcome.err
    assert scored(path)["exact_match"] == (100, 30)
    if "by id" not in name:  # with what is right, they need no dataset
        assert cli("evaluate", path, "--task", "qa", "--lang", "zh").code == 0
        assert scored(path)["exact_match"] == (100, 30)


def test_a_file_may_be_packed_and_its_answers_numbers_or_nothing(cli, golds, tmp_path):
    path = tmp_path / "theirs.json.gz"
    answers = {row["id"]: row["output"] for row in golds}
    ids = list(answers)
    answers |= {ids[0]: None, ids[1]: 1864, ids[2]: 1.5, ids[3]: []}
    path.write_bytes(gzip.compress(json.dumps(answers).encode()))
    outcome = cli("evaluate", path, "--dataset", DATASET)
    assert outcome.code == 0 and f"2 without an answer count as failed, id {ids[0]} first" in outcome.err
    found = scored(path)
    assert found["failed"][0] == pytest.approx(100 * 2 / 30) and found["empty"][0] == 0
    assert found["exact_match"][0] == pytest.approx(100 * 26 / 30) and path.with_name("theirs.metrics.json").is_file()
    path.write_bytes(path.read_bytes()[:-9])
    outcome = cli("evaluate", path, "--dataset", DATASET)
    assert outcome.code == 2 and "isn't a whole gzip file" in outcome.err


def test_rows_that_cannot_be_scored_are_left_out_and_counted(cli, tmp_path):
    path = tmp_path / "theirs.jsonl"
    right = {"output": "a", "labels": ["a", "b"], "prediction": "a"}
    rows = [
        {"id": "0", **right},
        {"id": "1", **right, "output": "c"},  # none of its labels
        {"id": "2", "prediction": "a"},
        {"id": "3", **right, "prediction": "b"},
        {"id": "4", **right, "labels": ["a", "a"]},  # two equal choices
        {"id": "5", "answers": [], "prediction": "a"},
        {"id": "6", **right, "prediction": None},
    ]
    path.write_text(lines(rows))
    outcome = cli("evaluate", path, "--task", "label", "--lang", "en")
    assert outcome.code == 0, outcome.err
    assert "3 of 7 rows can't be scored: the output of a row (id 1) is none of its labels: ['a', 'b']" in outcome.err
    assert "1 without an answer count as failed, id 6 first" in outcome.err
    assert scored(path)["accuracy"] == (50, 4)


def test_the_choice_that_a_harness_found_likeliest_is_the_answer(cli, tmp_path):
    def row(number, likely, target, choices, contexts=("?", "?")):
        asked = {
            f"gen_args_{i}": {"arg_0": one, "arg_1": f" {other}"}
            for i, (one, other) in enumerate(zip(contexts, choices, strict=True))
        }
        answers = [[str(value), "False"] for value in likely]
        doc = {"id": number, "instruction": "?", "prediction": "an old one"}
        return {"doc_id": number, "doc": doc, "target": target, "arguments": asked, "filtered_resps": answers}

    rows = [
        row(0, (-1.5, -2), "0", ("yes", "no")),
        row(1, (-2, -1.5), "0", ("yes", "no")),
        row(2, (-9, -10), "no", ("yes", "no")),  # the target by its text
        row(3, (-3, -2), "1", ("ran.", "ran."), ("He", "She")),  # what differs stands before the same end
        row(4, (-3, -2), "1", ("0", "1")),
    ]
    folder = tmp_path / "results" / "model"
    folder.mkdir(parents=True)
    path = folder / "samples_xnli_2026-01-01T00-00-00.jsonl"
    path.write_text(lines(rows[::-1]))
    outcome = cli("evaluate", tmp_path / "results", "--task", "label", "--lang", "en")
    assert outcome.code == 0 and "5 samples of lm-evaluation-harness" in outcome.err
    assert scored(path)["accuracy"] == (60, 5)
    (folder / "samples_other.jsonl").write_text(lines(rows))
    outcome = cli("evaluate", tmp_path / "results", "--task", "label", "--lang", "en")
    assert outcome.code == 2 and "has the samples of several tasks; name one" in outcome.err


def test_rows_without_ids_are_taken_in_order_where_that_can_be(cli, golds, tmp_path):
    path = tmp_path / "generated_predictions.jsonl"
    rows = [{"prompt": "?", "predict": "x", "label": row["output"]} for row in golds]
    path.write_text(lines([*rows[:-1], {**rows[-1], "label": "y"}]))
    outcome = cli("evaluate", path, "--dataset", DATASET)
    assert outcome.code == 0 and "in the dataset's order; 1 have another right answer than it has, id " in outcome.err
    for others, message in (
        (rows[1:], "has 29 rows without ids, the dataset has 30"),
        (rows[1:] + rows[:1], "in the dataset's order, but "),
        ([{**rows[0], "id": "0"}, *rows[1:]], "row 2 has no id, which other rows have"),
    ):
        path.write_text(lines(others))
        outcome = cli("evaluate", path, "--dataset", DATASET)
        assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"1": "a", "1": "b"}', "'1' is there twice in an object"),
        ("a.json", '{"1": "a", "2": "b"}', "has ids that xquad_zh (split test) lacks: 2, '1' for one"),
        ("a.json", '{"1": [["a"]]}', "row 1: its 'prediction' must be text, and is [\"a\"]"),
        ("a.json", '{"1": ["a", "b"]}', 'row 1: its \'prediction\' holds 2 answers, ["a", "b"]; one is scored'),
        ("a.json", '{"1": {"text": "a"}, "2": "b"}', 'under \'1\' is {"text": "a"}, which is no answer'),
        ("a.json", '{"1": true}', "row 1: its 'prediction' must be text, and is true"),
        ("a.json", '{"1": "a"', "malformed JSON: a.json, line 1"),
        ("a.json", '{\n"1": "a",\n}', "malformed JSON: a.json, line 3"),
        ("a.json", '"a"', 'holds "a", neither answers nor rows'),
        ("a.json", "[]", "a.json has no rows"),
        ("a.json", "{}", "a.json has no rows"),
        ("a.json", "", "a.json has no rows"),
        ("a.json", '["a", {"id": "1"}]', 'row 1 is "a", not an object'),
        ("a.json", '["a", ["b", "c"]]', "row 2: its 'prediction' holds 2 answers"),
        ("a.json", '{"prediction": ["a"], "id": ["1", "2"]}', "column 'id' has 2 values, 'prediction' has 1"),
        ("a.json", '[{"id": "1", "answer": "a"}]', "its 'prediction' must be text, and isn't there; it has id, answer"),
        ("a.json", '{"id": "1", "output": "a"}', "isn't there; it has id, output"),
        ("a.jsonl", '{"id": 1.5, "prediction": "a"}\n', "lacks: 1, '1.5' for one"),
        (
            "a.jsonl",
            '{"doc": {}, "doc_id": 0, "filtered_resps": ["a"]}\n',
            "row 1 isn't what lm-eval --log_samples writes",
        ),
        ("a.csv", "id,prediction\n1,a,b\n", "line 2 has 3 fields, the first has 2"),
        ("a.csv", 'id,prediction\n1,"a\n', "can't be cut into fields"),
        ("a.csv", "id;prediction\n1;a\n", "isn't there; it has id;prediction"),
        ("a.txt", "", "a.txt has no rows"),
        ("a.txt", "x\n", "has 1 rows without ids, the dataset has 30"),
        ("a.json.gz", "{}", "a.json.gz isn't a whole gzip file"),
    ],
)
def test_mistakes_are_one_line(cli, sample, tmp_path, monkeypatch, name, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    outcome = cli("evaluate", name, "--dataset", DATASET)
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1, outcome.err
    assert not list(tmp_path.glob("*.metrics.json"))
