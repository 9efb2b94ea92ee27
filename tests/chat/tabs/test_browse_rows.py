"""Files of answers as the page shows them."""

import json
import shutil
from pathlib import Path

import pytest

from xllm.chat.tabs import browse_rows
from xllm.errors import XllmError


@pytest.fixture
def found(site, monkeypatch):
    monkeypatch.setenv("XLLM_MODEL_DIR", str(site / "model"))
    return browse_rows.files({})["xquad_en"]


def test_rows_are_put_side_by_side_with_scores(found):
    assert list(found) == ["left", "right"]
    (first, second), left_out = browse_rows.read(found)
    assert left_out == 0
    assert first.predictions == {"left": "It is in Greece.", "right": "<script>in Turkey</script>"}
    assert first.scores["left"] == pytest.approx(100 * 2 * 0.5 / 1.5) and second.scores["left"] == 100
    assert second.languages == {"left": "ar", "right": "ar"} and second.golds == ["في مصر على النيل"]
    path = found["left"]
    path.write_text(path.read_text().splitlines()[0])
    shown, left_out = browse_rows.read(found)  # the file is read anew, and rows that one lacks can't be compared
    assert shown == [first] and left_out == 1
    path.write_text("{")
    with pytest.raises(XllmError, match="^malformed JSON: xquad_en.inference.jsonl of left, line 1: "):
        browse_rows.read(found)


def write(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_models_of_one_name_are_kept_apart(found, site):
    other = site / "other" / "left"
    shutil.copytree(site / "model" / "left", other)
    given = {"left": str(site / "model" / "left"), str(other): str(other)}
    files = browse_rows.files(given)["xquad_en"]
    names = ["left", str(other), "right"]
    assert list(files) == names and [path.parents[1] for path in files.values()][:2] == [*map(Path, given.values())]
    (first, _), _ = browse_rows.read(files)
    assert list(first.predictions) == names
    assert (
        browse_rows.files({"left": str(other)})["xquad_en"]["left"].parents[1] == other
    )  # as the page's other tabs have it


@pytest.mark.parametrize("order", [("left", "right"), ("right", "left")])
def test_only_rows_that_were_asked_alike_stand_side_by_side(found, order):
    first, second = (json.loads(line) for line in found["right"].read_text().splitlines())
    # the same ids, as of another split; what inference adds tells no rows apart
    asked_alike = second | {
        "prediction": "x",
        "cut": True,
        "input": "Where is Cairo?",
        "original_input": second["input"],
    }
    write(found["right"], first | {"output": "in Turkey"}, asked_alike, second | {"id": "3"})
    shown, left_out = browse_rows.read({model: found[model] for model in order})
    assert [row.input for row in shown] == [second["input"]] and shown[0].predictions["right"] == "x"
    assert left_out == 3  # two questions of the id 1, and the one of the id 3


def test_rows_without_an_id_are_told_apart(found):
    row = {"input": "?", "output": "x"}
    for model, predictions in (("left", "abc"), ("right", "def")):
        write(found[model], *({**row, "prediction": text} for text in predictions))
    shown, left_out = browse_rows.read(found)
    assert ["".join(row.predictions.values()) for row in shown] == ["ad", "be", "cf"] and left_out == 0


GOOD = {"id": "1", "from": "xquad_en", "input": "?", "output": "x", "prediction": "y"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (3, "row 2 is 3, not an object"),
        ({**GOOD, "prediction": 3}, "row 2: its 'prediction' must be text, and is 3"),
        ({**GOOD, "answers": [3]}, "row 2: its 'answers' must be a list of texts"),
        ({**GOOD, "answers": "x"}, "row 2: its 'answers' must be a list of texts"),
        ({**GOOD, "input": None}, "row 2: its 'input' must be text, and is null"),
        ({**GOOD, "id": ["2"]}, "row 2: its 'id' must be text"),
        ({**GOOD, "from": {}}, "row 2: its 'from' must be text"),
        (GOOD, "row 2: the id '1' was there before"),
        ({**GOOD, "id": "2", "prediction": "\ud800"}, "row 2: its 'prediction' holds half of a surrogate pair"),
        ({**GOOD, "id": "2", "answers": ["\ud800"]}, "row 2: its 'answers' hold half of a surrogate pair"),
    ],
)
def test_a_row_that_is_none_is_told(found, site, row, message):
    write(found["right"], GOOD, row)
    with pytest.raises(XllmError, match="^xquad_en.inference.jsonl of right, ") as told:
        browse_rows.read(found)
    assert str(site) not in str(told.value)  # the page may be public
    assert message in str(told.value) and "\n" not in str(told.value)


def test_a_file_that_is_gone_is_told(found):
    found["right"].unlink()
    with pytest.raises(XllmError, match="^cannot read xquad_en.inference.jsonl of right: No such file"):
        browse_rows.read(found)


TERM = {"from": "xquad_en", "task": "qa", "language": "en"}


@pytest.mark.parametrize(
    "facts",
    [
        *({}, [], None),
        *({"mixture": {"terms": terms}} for terms in (3, [3], [{"from": []}], [{**TERM, "language": 3}])),
        {"mixture": {"terms": [{**TERM, "task": ["qa"]}]}},
        *("{", "1" * 5000, "\0"),
    ],
)
@pytest.mark.parametrize("order", [("left", "right"), ("right", "left")])
def test_rows_are_shown_without_scores_where_facts_are_broken(found, facts, order):
    (intact, _), _ = browse_rows.read(found)
    written = facts if isinstance(facts, str) else json.dumps(facts)
    found["left"].with_name("xquad_en.run.json").write_text(written)
    (first, second), _ = browse_rows.read({model: found[model] for model in order})
    assert first.predictions == intact.predictions and first.scores == intact.scores | {"left": None}
    assert second.scores["left"] is None and browse_rows.Filter(least=90)(second)


@pytest.mark.parametrize(
    ("filter", "kept"),
    [
        (browse_rows.Filter(), [0, 1]),
        (browse_rows.Filter(text="GREECE"), [0]),
        (browse_rows.Filter(text="القاهرة"), [1]),
        (browse_rows.Filter(language="ar"), [1]),
        (browse_rows.Filter(least=90), [1]),
        (browse_rows.Filter(most=10), [0]),
        (browse_rows.Filter(language="ar", most=10), []),
    ],
)
def test_filters(found, filter, kept):
    every, _ = browse_rows.read(found)
    assert [every.index(row) for row in every if filter(row)] == kept


@pytest.mark.parametrize(
    ("task", "prediction", "golds", "score"),
    [
        ("qa", "the Greece", ["x", "Greece"], 100),
        ("label", "Yes.", ["Yes"], 100),
        ("label", "Yes and no", ["Yes"], 0),
        ("translation", "我爱你", ["我爱你"], 100),
        (None, "same", ["same"], 100),
        ("qa", "anything", [], None),
    ],
)
def test_scores(task, prediction, golds, score):
    found = browse_rows.score(prediction, golds, task, "en")
    assert found is None if score is None else found == pytest.approx(score)


def test_differences_are_marked_and_everything_is_escaped():
    assert browse_rows.differences("a red <b>", "a blue <b>") == "a <del>blue</del><ins>red</ins> &lt;b&gt;"
    assert browse_rows.differences("我很爱你", "我爱你们") == "我<ins>很</ins>爱你<del>们</del>"
    assert browse_rows.differences("<i>" * 5000, "x") == "&lt;i&gt;" * 5000
