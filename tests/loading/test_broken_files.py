"""A catalogue of broken raw files: each is either read for what it is, or refused in one line that says where."""

import json

import pytest

from xllm.errors import XllmError
from xllm.mixture.load import load_mixture

GOOD = {"instruction": "Say hi.", "input": "", "output": "Hi."}


def alpaca(root, content: bytes):
    (root / "alpaca").mkdir(exist_ok=True)
    (root / "alpaca" / "alpaca_aa.json").write_bytes(content)
    return list(load_mixture("alpaca_aa", "train"))


def pair(root, source: bytes, target: bytes):
    folder = root / "translation" / "x" / "en-zh"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.en").write_bytes(source)
    (folder / "train.zh").write_bytes(target)
    return list(load_mixture("translation_x_en-zh", "train"))


def rows(*changes):
    return json.dumps([GOOD | change for change in changes]).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (rows({})[:-20], r"malformed JSON: .*alpaca_aa\.json, line 1"),
        (b'[{"instruction": "x",\n "input" "y"}]', r"malformed JSON: .*alpaca_aa\.json, line 2"),
        (b"", r"malformed JSON: .*alpaca_aa\.json, line 1"),
        (b"[]", "empty at 'alpaca_aa'"),
        (b'{"data": []}', "holds a dict, not a list of objects"),
        (b"[" * 100_000, "nested too deeply|malformed JSON"),
        (b'["text"]', "row 1 has no 'instruction'"),
        (b'[{"instruction": "x", "output": "y"}]', "row 1 has no 'input'"),
        (rows({}, {"output": 5}), "row 2: 'output' is 5, not text"),
        (rows({"output": None}), "row 1: 'output' is null, not text"),
        (rows({"input": ["a"]}), r"row 1: 'input' is \[\"a\"\], not text"),
        (rows({"output": "\ud83d"}), "row 1: 'output' holds half of a surrogate pair"),
        (
            json.dumps([GOOD | {"output": "né"}], ensure_ascii=False).encode("latin-1"),
            r"alpaca_aa\.json, line 1 isn't UTF-8: .*0xe9",
        ),
        (rows({}).decode().encode("utf-16-le"), r"alpaca_aa\.json, line 1 holds a NUL character; is the file UTF-16"),
        (rows({})[:20] + b"\0" + rows({})[20:], "line 1 holds a NUL character"),
    ],
)
def test_broken_instructions_are_refused_with_file_and_place(root, content, message):
    with pytest.raises(XllmError, match=message) as error:
        alpaca(root, content)
    assert "\n" not in str(error.value) and "alpaca_aa" in str(error.value)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (b"a\nb\nc\n", "一\n".encode(), r"train\.en has 3, .*train\.zh has 1"),
        (b"a", "一\n二\n三".encode(), r"train\.en has 1, .*train\.zh has 3"),
        (b"", b"", "empty at 'translation_x_en-zh'"),
        (b"\n\n", b"\n\n", "empty at 'translation_x_en-zh'"),
        (b"ok\ncaf\xe9\n", "一\n二\n".encode(), r"train\.en, line 2 isn't UTF-8: .*0xe9.*iconv"),
        (b"ok\n", "一\0\n".encode(), r"train\.zh, line 1 holds a NUL"),
    ],
)
def test_broken_pairs_are_refused_with_file_and_place(root, source, target, message):
    with pytest.raises(XllmError, match=message):
        pair(root, source, target)


def test_a_byte_order_mark_is_no_text(root):
    assert alpaca(root, b"\xef\xbb\xbf" + rows({}))[0]["instruction"] == "Say hi."
    assert pair(root, b"\xef\xbb\xbfa\n", b"\xef\xbb\xbf" + "一\n".encode())[0]["input"] == "a"


def test_line_ends_of_windows_are_line_ends(root):
    assert [row["output"] for row in pair(root, b"a\r\nb\r\n", "一\r\n二\r\n".encode())] == ["一", "二"]
    assert alpaca(root, rows({}).replace(b"}, ", b"},\r\n"))[0]["output"] == "Hi."


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_a_newline_ends_a_line(root, separator):
    rows = pair(root, f"a{separator}b\nc\n".encode(), "一\n二\n".encode())
    assert [row["input"] for row in rows] == [f"a{separator}b", "c"]


@pytest.mark.slow
def test_a_row_of_five_megabytes_is_read_and_told(cli, root, llama, tmp_path):
    alpaca(root, rows({}, {"output": "word " * 1_000_000}))
    outcome = cli("train", llama, "alpaca_aa", "--prepare_only", "--output_dir", tmp_path / "out")
    assert outcome.code == 0 and "too long: 1 lose their end, 0 have no response left" in outcome.err


@pytest.mark.parametrize(
    "layout", [[], {"data": [{}]}, {"data": [{"paragraphs": [{"context": "x", "qas": [{"id": "1"}]}]}]}]
)
def test_another_layout_than_squad_s_is_told(root, layout):
    (root / "xquad").mkdir()
    (root / "xquad" / "xquad.en.json").write_text(json.dumps(layout))
    with pytest.raises(XllmError, match=r"xquad\.en\.json isn't in the layout of SQuAD"):
        load_mixture("xquad_en", "test")


def test_a_question_without_gold_answers_is_told(root):
    (root / "xquad").mkdir()
    qa = {"id": "1", "question": "?", "answers": []}
    (root / "xquad" / "xquad.en.json").write_text(
        json.dumps({"data": [{"paragraphs": [{"context": "x", "qas": [qa]}]}]})
    )
    with pytest.raises(XllmError, match="IndexError"):
        load_mixture("xquad_en", "test")


@pytest.mark.parametrize(
    "name",
    ["alpaca_../../etc/passwd", "alpaca_..", "../alpaca_en", "alpaca_a/b", "translation_../x_en-zh", "alpaca_a\\b"],
)
def test_names_cannot_leave_the_data_root(root, name):
    with pytest.raises(XllmError, match="cannot read the mixture"):
        load_mixture(name, "train")
