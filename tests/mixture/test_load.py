"""From a mixture's text to its records."""

import json

import pytest

from xllm.errors import XllmError
from xllm.mixture.load import load_mixture
from xllm.mixture.mixture import Selection


@pytest.fixture
def alpaca(root):
    """A data root with alpaca_aa (10 rows) and alpaca_bb (4 rows)."""
    (root / "alpaca").mkdir()
    for language, count in (("aa", 10), ("bb", 4)):
        rows = [{"instruction": f"{language}{i}", "input": "", "output": str(i)} for i in range(count)]
        (root / "alpaca" / f"alpaca_{language}.json").write_text(json.dumps(rows))
    (root / "alias").mkdir()
    return root


def aliases(root, **names):
    (root / "alias" / "alias.json").write_text(json.dumps(names))


def instructions(text):
    return [row["instruction"] for row in load_mixture(text, "train")]


def test_concatenates_in_the_order_written(alpaca):
    mixture = load_mixture("alpaca_bb[1:3]+alpaca_aa[:20%]", "train")
    assert [row["instruction"] for row in mixture] == ["bb1", "bb2", "aa0", "aa1"]
    assert [row["from"] for row in mixture] == ["alpaca_bb", "alpaca_bb", "alpaca_aa", "alpaca_aa"]
    assert [(term.name, term.rows) for term in mixture.terms] == [("alpaca_bb", 2), ("alpaca_aa", 2)]


def test_a_dataset_may_come_twice(alpaca):
    mixture = load_mixture("alpaca_bb[:1]+alpaca_bb[3:]", "train")
    assert [row["instruction"] for row in mixture] == ["bb0", "bb3"]
    assert [(term.name, term.rows) for term in mixture.terms] == [("alpaca_bb", 2)]


def test_aliases_nest_and_take_slices(alpaca):
    aliases(alpaca, few="alpaca_aa[:1]+alpaca_bb[:2]", both="few+alpaca_aa[9:]")
    assert instructions("both") == instructions("alias_both") == ["aa0", "bb0", "bb1", "aa9"]
    assert instructions("both[1:3]+few[:1]") == ["bb0", "bb1", "aa0"]


def test_a_term_that_a_slice_leaves_out_is_not_listed(alpaca):
    aliases(alpaca, both="alpaca_aa+alpaca_bb")
    assert [term.name for term in load_mixture("both[:10]", "train").terms] == ["alpaca_aa"]


def test_a_cycle_of_aliases_is_shown(alpaca):
    aliases(alpaca, a="alpaca_aa+b", b="c", c="b")
    with pytest.raises(XllmError, match="cycle: b → c → b"):
        load_mixture("a", "train")


def test_answers_are_kept(sample):
    rows = list(load_mixture("translation_daily_en-zh[:1]+xquad_en[:1]", "test"))
    assert list(rows[0]) == ["id", "instruction", "input", "output", "from"]
    assert list(rows[1]) == ["id", "instruction", "input", "output", "answers", "from"]
    assert rows[1]["answers"] == ["1864", "in 1864"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alpca_aa", r"unknown dataset 'alpca'; did you mean alpaca\?"),
        ("alpaca", "names no config: write alpaca_CONFIG"),
        ("alpaca_ab", r"raw file not found: .*alpaca_ab\.json .*did you mean .*alpaca_aa\.json"),
        ("alias_nope", "unknown alias 'nope'"),
        ("alpaca_aa[20:]", r"empty at 'alpaca_aa\[20:\]': of 10 rows"),
        ("xquad_en", "xquad_en: unknown split 'train'; available: test"),
        ("xquad_xx", "unknown language of xquad 'xx'"),
        ("translation_flores", "unknown config 'flores' of translation"),
        ("translation_flores_en-qq", "unknown language code 'qq'"),
        ("translation_flores_en-zh", r"raw file not found: .*flores/en-zh/train\.en"),
    ],
)
def test_mistakes_are_told_with_what_would_be_right(alpaca, text, message):
    with pytest.raises(XllmError, match=message):
        load_mixture(text, "train")


def test_a_missing_data_root_is_told(monkeypatch):
    monkeypatch.setenv("XLLM_DATA_DIR", "/nowhere")
    with pytest.raises(XllmError, match="data root '/nowhere' isn't a folder"):
        load_mixture("alpaca_en", "train")


def test_factors_repeat_and_draw(alpaca):
    rows = [row["instruction"] for row in load_mixture("alpaca_bb*2+alpaca_aa[:8]*0.25", "train")]
    assert rows[:8] == ["bb0", "bb1", "bb2", "bb3"] * 2
    assert len(rows) == 10 and set(rows[8:]) < {f"aa{i}" for i in range(8)}
    assert [row["instruction"] for row in load_mixture("alpaca_bb*2+alpaca_aa[:8]*0.25", "train")] == rows
    seeds = [load_mixture("alpaca_aa*0.5", "train", selection=Selection(seed)) for seed in range(5)]
    others = [[row["instruction"] for row in mixture] for mixture in seeds]
    assert len(set(map(tuple, others))) > 1
    aliases(alpaca, some="alpaca_aa[:4]*2+alpaca_bb*0.5")
    assert len(instructions("some*2")) == 2 * len(instructions("some")) == 20


def test_sizes_of_the_whole_mixture(alpaca):
    draws = {
        "rows": Selection(mix_rows=28),
        "temperature": Selection(mix_temperature=1e9),
        "both": Selection(mix_rows=6, mix_temperature=1e9),
    }
    for name, sizes in {"rows": (20, 8), "temperature": (7, 7), "both": (3, 3)}.items():
        mixture = load_mixture("alpaca_aa+alpaca_bb", "train", selection=draws[name])
        assert tuple(term.rows for term in mixture.terms) == sizes
        assert len(mixture) == sum(sizes)
    for wrong in ({"mix_rows": 0}, {"mix_temperature": 0.0}, {"mix_temperature": -1.0}):
        with pytest.raises(XllmError, match=f"--{next(iter(wrong))}"):
            Selection(**wrong)
