"""From a mixture's text to its records."""

import json
import re

import pytest

from tests.conftest import HOME
from xllm.errors import XllmError
from xllm.mixture.aliases import load_aliases
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


LANGUAGES = ("ar", "el", "hi", "tr", "vi", "zh")


def test_the_paper_s_mixtures_have_names(root):
    found = load_aliases(root)
    for language in LANGUAGES:
        assert found[f"x_{language}"] == f"alpaca_en+alpaca_{language}+translation_ncwm_en-{language}"
    terms = ["alpaca_en", *(f"alpaca_{own}" for own in LANGUAGES), *(f"translation_ncwm_en-{own}" for own in LANGUAGES)]
    assert found["m_all"].split("+") == terms


def test_a_data_root_s_own_names_win_over_the_paper_s(alpaca):
    aliases(alpaca, x_zh="alpaca_aa[:1]", mine="x_zh+alpaca_bb[:1]")
    assert instructions("mine") == ["aa0", "bb0"] and "x_ar" in load_aliases(alpaca)
    (alpaca / "x").mkdir()
    (alpaca / "x" / "x.py").write_text((HOME / "data" / "alpaca" / "alpaca.py").read_text())
    assert "x_ar" not in load_aliases(alpaca) and load_aliases(alpaca)["x_zh"] == "alpaca_aa[:1]"
    rows = [{"instruction": "own", "input": "", "output": "x"}]
    (alpaca / "x" / "alpaca_ar.json").write_text(json.dumps(rows))
    assert instructions("x_ar") == ["own"]


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ("x_ar", "x_ar: 3 of its 3 datasets are missing: alpaca_en, alpaca_ar, translation_ncwm_en-ar; alpaca_en: raw"),
        ("some", "some: 1 of its 2 datasets is missing: alpaca_zz; alpaca_zz: raw file not found: "),
        ("alpaca_aa+some[:3]+x_zh*2", "4 of its 5 datasets are missing: alpaca_zz, alpaca_en, alpaca_zh, translation_"),
        ("alpaca_aa+alpaca_xx+alpaca_yy", "2 of its 3 datasets are missing: alpaca_xx, alpaca_yy; alpaca_xx: raw"),
        ("alpaca_xx", "xllm: alpaca_xx: raw file not found: "),
        ("blank", "the alias blank: cannot read the mixture '' at column 1"),
        ("spaced", "the alias spaced: cannot read the mixture 'alpaca_aa + alpaca_bb' at column 10"),
        ("alpaca_bb", "aliases form a cycle: alpaca_bb → alpaca_bb"),
        ("mistyped", "unknown dataset 'alpca'; did you mean alpaca"),
    ],
)
def test_what_a_name_lacks_is_told_in_one_line(cli, alpaca, mixture, message):
    aliases(
        alpaca,
        some="alpaca_aa+alpaca_zz",
        blank="",
        spaced="alpaca_aa + alpaca_bb",
        alpaca_bb="alpaca_bb[:1]",
        mistyped="alpca_aa",
    )
    outcome = cli("mixture", mixture)
    assert outcome.code == 2 and message in outcome.err.splitlines()[-1]  # after the bars of what was read


def test_aliases_are_read_as_windows_writes_them(alpaca):
    (alpaca / "alias" / "alias.json").write_bytes(b'\xef\xbb\xbf{\r\n  "few": "alpaca_aa[:1]"\r\n}\r\n')
    assert instructions("few") == ["aa0"]


def test_without_a_mixture_names_are_listed(cli, alpaca):
    aliases(alpaca, few="alpaca_aa[:1]")
    outcome = cli("mixture")
    assert outcome.code == 0 and "\nxquad\n" in outcome.out and re.search(r"\nfew +alpaca_aa\[:1\]\n", outcome.out)
    assert "x_zh     alpaca_en+alpaca_zh+translation_ncwm_en-zh" in outcome.out
    outcome = cli("mixture", "--duplicates")
    assert outcome.code == 2 and "--duplicates has no effect without a MIXTURE" in outcome.err
