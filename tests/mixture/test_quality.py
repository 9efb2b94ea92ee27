"""Flaws of parallel text."""

import json

import pytest

from tests.conftest import HOME
from xllm.languages import identify
from xllm.mixture.filters import kept
from xllm.mixture.load import load_mixture
from xllm.mixture.mixture import Selection
from xllm.mixture.quality import FLAWS, count, flaws

FOLDER = HOME / "data" / "sample" / "translation" / "daily" / "en-zh"
SAMPLE = zip(*((FOLDER / f"test.{language}").read_text().splitlines() for language in ("en", "zh")), strict=True)
GOOD = [
    *SAMPLE,
    ("The old bridge over the river was closed for repairs.", "河上的那座老桥因为维修而关闭了。"),
    ("My sister works as a nurse in a small hospital.", "我姐姐在一家小医院当护士。"),
    ("They moved to the city because of the new school.", "他们因为新学校搬到了城里。"),
    ("Go.", "走。"),
    ("2020", "2020"),
    ("Windows 10", "Windows 10 系统"),
]
BAD = {
    "copies": ("The train leaves at nine o'clock in the morning.", "the train leaves at nine o'clock in the morning"),
    "odd_lengths": (
        "The shop opens at ten.",
        "这家商店每天上午十点开门，晚上九点关门，周末和节假日照常营业，欢迎大家光临选购各种商品。" * 3,
    ),
    "wrong_source_language": ("Das Wetter ist heute wirklich sehr schön geworden.", "今天的天气真的变得非常好了。"),
    "wrong_target_language": (
        "We would like to book a table for two people.",
        "二人用のテーブルを予約したいのですが。",
    ),
}


@pytest.fixture
def pairs(root):
    folder = root / "translation" / "x" / "en-zh"
    folder.mkdir(parents=True)
    both = [*GOOD, *BAD.values()]
    (folder / "train.en").write_text("".join(f"{source}\n" for source, _ in both))
    (folder / "train.zh").write_text("".join(f"{target}\n" for _, target in both))


def test_finds_each_flaw_and_nothing_else(pairs):
    mixture = load_mixture("translation_x_en-zh", "train")
    found = flaws(mixture)
    assert found.tolist() == [0] * len(GOOD) + [1, 2, 3, 4] and tuple(BAD) == FLAWS
    assert count(mixture, found) == [dict.fromkeys(BAD, 1)]
    clean = kept(load_mixture("translation_x_en-zh", "train", selection=Selection(filter_parallel=True)))
    assert [(row["input"], row["output"]) for row in clean] == GOOD
    assert clean.terms[0].left_out == {"flawed": 4} and clean.terms[0].rows == len(GOOD)


def test_other_datasets_have_no_such_flaws(cli, pairs, root):
    (root / "alpaca").mkdir()
    (root / "alpaca" / "alpaca_en.json").write_text(
        json.dumps([{"instruction": "Say it.", "input": "same", "output": "same"}])
    )
    lines = cli("mixture", "translation_x_en-zh+alpaca_en", "--parallel").out.splitlines()
    assert lines[2].split()[-4:] == ["1"] * 4 and lines[3].split()[-4:] == ["0"] * 4


def test_the_sample_s_pairs_have_no_flaws(sample):
    for split in ("train", "validation", "test"):
        assert not flaws(load_mixture("translation_daily_en-zh", split)).any()


def test_training_leaves_them_out(cli, pairs, llama, tmp_path):
    outcome = cli(
        "train", llama, "translation_x_en-zh", "--filter_parallel", "--prepare_only", "--output_dir", tmp_path / "out"
    )
    assert "translation_x_en-zh: 66 rows (left out: 4 flawed)" in outcome.err


@pytest.mark.parametrize(
    ("text", "language"), [("Ο γάτος κάθεται\nστο τραπέζι", "el"), ("他说，我回来了。", "zh"), ("", "en")]
)
def test_languages_are_identified_offline(text, language):
    assert identify(text)[0] == language
