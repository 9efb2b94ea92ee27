"""What a mixture says twice, and what it says that a test set asks."""

import json

import pytest

from xllm.mixture.load import load_mixture
from xllm.mixture.overlap import CHARACTERS, WORDS, HeldOut, contamination, duplicates, units

ENGLISH = "The lighthouse on the northern cliff was built by two sisters in the year of the flood"
CHINESE = "北边悬崖上的灯塔是两姐妹在发大水的那一年建起来的，后来成了一座博物馆。"


@pytest.fixture
def write(root):
    """Write alpaca_<language>.json from (instruction, input, output) rows."""
    (root / "alpaca").mkdir()
    (root / "mieval").mkdir()

    def make(language, *rows):
        rows = [dict(zip(("instruction", "input", "output"), row, strict=True)) for row in rows]
        (root / "alpaca" / f"alpaca_{language}.json").write_text(json.dumps(rows))
        return f"alpaca_{language}"

    return make


def questions(root, *texts):
    (root / "mieval" / "aa.jsonl").write_text(
        "\n".join(json.dumps({"instruction": text, "input": ""}) for text in texts)
    )
    return HeldOut([load_mixture("mieval_aa", "test")])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Don't STOP, Straße!", ["don", "t", "stop", "strasse"]),
        ("在2020年 NFL", ["在", "2020", "年", "nfl"]),
        ("ＡＢＣ１２", ["abc12"]),
        ("कितने दिन?", ["कितने", "दिन"]),
        ("แมวดำ", ["แ", "ม", "ว", "ด\u0e4dา"]),  # a mark stays with its letter
        ("", []),
    ],
)
def test_units_are_words_or_characters(text, parts):
    assert units(text) == parts


def test_duplicates_within_and_between_datasets(write):
    write(
        "aa",
        ("Say hi.", "", "Hi."),
        ("Say hi.", "", "Hi."),
        ("say HI", "", "hi!"),
        ("Add.", "1 2", "3"),
        ("Sum up.", "1 2", "3"),
    )
    write("bb", ("Say hi", "", "Hi"), ("Other.", "", "x"))
    assert duplicates(load_mixture("alpaca_aa+alpaca_bb", "train")) == [
        {"duplicates": 2, "near_duplicates": 3, "shared": 3},
        {"duplicates": 0, "near_duplicates": 0, "shared": 1},
    ]


def test_what_a_factor_repeats_is_no_duplicate(write):
    write("aa", ("a", "", "1"), ("b", "", "2"))
    assert duplicates(load_mixture("alpaca_aa*3", "train")) == [{"duplicates": 0, "near_duplicates": 0, "shared": 0}]


def test_overlap_needs_eight_words_or_sixteen_characters(write, root):
    words, characters = ENGLISH.split(), CHINESE.replace("，", "")
    write(
        "aa",
        ("Tell me.", "", f"Yes: {' '.join(words[2 : 2 + WORDS])}, they say."),
        ("Tell me.", "", " ".join(words[2 : 1 + WORDS])),
        ("说。", characters[3 : 3 + CHARACTERS], "好"),
        ("说。", characters[3 : 2 + CHARACTERS], "好"),
        (ENGLISH.upper() + "?", "", "I don't know."),
    )
    tests = questions(root, ENGLISH, CHINESE, "too short")
    assert tests.short == 1
    found = contamination(load_mixture("alpaca_aa", "train"), tests)
    assert [(hit["id"], hit["test"]) for hit in found] == [
        ("2", "mieval_aa/1"),
        ("4", "mieval_aa/0"),
        ("0", "mieval_aa/0"),
    ]
    assert [hit["share"] for hit in found] == sorted((hit["share"] for hit in found), reverse=True) and found[0][
        "share"
    ] == 1


def test_sixteen_tibetan_syllables_make_an_overlap(write, root):
    syllables = [f"{letter}\u0f72" for letter in "ཀཁགངཅཆཇཉཏཐདནཔཕབམཙཚཛཝ"]
    asked = questions(root, "་".join(syllables) + "།")
    write(
        "aa",
        ("?", "", "་".join(syllables[2 : 2 + CHARACTERS]) + "།"),
        ("?", "", "་".join(syllables[2 : 1 + CHARACTERS]) + "།"),
    )
    assert [hit["id"] for hit in contamination(load_mixture("alpaca_aa", "train"), asked)] == ["0"]


@pytest.mark.slow
def test_the_command_shows_the_worst_and_training_leaves_them_out(cli, write, root, llama, tmp_path):
    write("aa", ("a", "", "1"), ("Tell me.", "", ENGLISH), ("b", "", "2"))
    questions(root, ENGLISH)
    outcome = cli("mixture", "alpaca_aa", "--duplicates", "--against", "mieval_aa", "--json", tmp_path / "report.json")
    assert (
        "1 rows overlap with mieval_aa" in outcome.out and "100.0%  alpaca_aa/1 ~ mieval_aa/0: Tell me." in outcome.out
    )
    [term] = json.loads((tmp_path / "report.json").read_text())["terms"]
    assert term["contaminated"] == 1 and term["duplicates"] == 0

    words = ("train", llama, "alpaca_aa", "--output_dir", tmp_path / "out", "--drop_contaminated", "mieval_aa")
    assert cli(*words, "--max_steps", "1", "--global_batch_size", "4").code == 0
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    [term] = run["encoding"]["terms"]
    assert (term["rows"], term["left_out"]) == (2, {"contaminated": 1})
    assert run["mixture"]["rows"] == 3 and run["mixture"]["drop_contaminated"] == "mieval_aa"
    assert [test["from"] for test in run["mixture"]["tests"]] == ["mieval_aa"]
    lines = cli("mixture", "alpaca_aa", "--drop_contaminated", "mieval_aa").out.splitlines()
    assert lines[0].split() == ["term", "language", "left", "out", "rows", "share"]
    assert lines[2].split() == ["alpaca_aa", "aa", "1", "2", "100.0", "%"]
    write("aa", ("Tell me.", "", ENGLISH))
    outcome = cli(*words[:4], tmp_path / "none", *words[5:], "--prepare_only")
    assert outcome.code == 2 and "no row of alpaca_aa is left: all are contaminated" in outcome.err


def test_the_sample_is_not_contaminated(cli, sample):
    out = cli(
        "mixture", "alpaca_en+alpaca_zh+translation_daily_en-zh", "--against", "xquad_en,xquad_zh,mlqa_en,mlqa_zh"
    ).out
    assert "0 rows overlap with" in out
