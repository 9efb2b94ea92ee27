"""Names of files that are made of mixtures."""

import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from xllm.artifacts import file_names, model_folder
from xllm.mixture.grammar import parse

LETTERS = "ab1._-=%?{}x中ა"
NAMES = st.one_of(
    st.text(LETTERS, min_size=1, max_size=12),
    st.sampled_from(["a.first6", "a.x2", "a.rows1to2", "a=2Efirst6", "a.first", "a.from10pct", "a.x2.5", "a.rows-"]),
).filter(lambda name: not name.startswith(".") and ".." not in name)
BOUNDS = st.one_of(st.just(""), st.from_regex(r"-?[0-9]{1,3}%?", fullmatch=True))
FACTORS = st.one_of(st.just(""), st.from_regex(r"\*[1-9]{1,2}(\.[0-9]{1,2})?", fullmatch=True))
SLICES = st.one_of(st.just(""), st.tuples(BOUNDS, BOUNDS).map(lambda ends: f"[{ends[0]}:{ends[1]}]"))
MIXTURES = st.lists(st.tuples(NAMES, SLICES, FACTORS).map("".join), min_size=1, max_size=3).map("+".join)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("xquad_tr", "xquad_tr"),
        ("translation_flores_en-zh+alpaca_en", "translation_flores_en-zh+alpaca_en"),
        ("xquad_tr[:6]", "xquad_tr.first6"),
        ("alpaca_en[:16]*2", "alpaca_en.first16.x2"),
        ("alpaca_en[-100:]", "alpaca_en.last100"),
        ("alpaca_en[100:]", "alpaca_en.from100"),
        ("alpaca_en[10:20]", "alpaca_en.rows10to20"),
        ("alpaca_en[-20:-10]", "alpaca_en.rows-20to-10"),
        ("alpaca_en[:10%]", "alpaca_en.first10pct"),
        ("alpaca_en[5%:10%]+alpaca_zh*0.25", "alpaca_en.rows5pctto10pct+alpaca_zh.x0.25"),
        ("alpaca_en[:-5]", "alpaca_en.butlast5"),
        ("alpaca_en[:]", "alpaca_en"),
        ("text_a.b", "text_a.b"),
        ("text_a.first6", "text_a=2Efirst6"),
        ("text_50%?", "text_50=25=3F"),
        ("text_ქართული", "text_ქართული"),
    ],
)
def test_names_can_be_read(text, name):
    assert file_names.of_mixture(text) == name


@given(MIXTURES, MIXTURES)
def test_two_mixtures_never_share_a_name(one, other):
    names = [file_names.of_mixture(text) for text in (one, other)]
    assert (names[0] == names[1]) == (parse(one) == parse(other))


@given(MIXTURES)
def test_names_are_taken_as_they_are(mixture):
    name = file_names.of_mixture(mixture)
    assert not set(name) & set("[]*?:%{}/\\'\"$&;|<>()!`~# \t\n") and file_names.clean(name) == name
    assert yaml.safe_load(f"- name_{name}") == [f"name_{name}"]


def test_a_name_is_its_own_pattern(tmp_path):
    for text in ("xquad_tr[:6]", "xquad_tr[5%:10%]*2", "text_{a,b}?"):
        path = tmp_path / f"{file_names.of_mixture(text)}.inference.jsonl"
        path.touch()
        assert list(tmp_path.glob(path.name)) == [path]


@pytest.mark.slow
@pytest.mark.parametrize("written", ["xquad_en[:3]", "xquad_en.first3"])
@pytest.mark.parametrize("typed", ["xquad_en[:3]", "xquad_en.first3"])
def test_answers_are_found_by_either_name(cli, site, monkeypatch, written, typed):
    monkeypatch.setenv("XLLM_MODEL_DIR", str(site / "model"))
    for number, model in enumerate(("left", "right")):
        test = site / "model" / model / "test"
        for path in list(test.iterdir()):
            stem = written if number == 0 else "xquad_en.first3"
            path.rename(test / path.name.replace("xquad_en", stem))
    assert "xquad_en.first3" in cli("evaluate", "left", typed).out
    assert (site / "model" / "left" / "test" / f"{written}.metrics.json").is_file()
    assert cli("evaluate", "right").code == 0
    compared = cli("compare", "left", "right", "--dataset", typed)
    assert compared.code == 0 and "xquad_en.first3" in compared.out
    assert "xquad_en.first3" in cli("compare", "left", "right").out
    report = cli("report", "left", "right", "--output", site / "report")
    assert report.code == 0 and len([line for line in report.out.splitlines() if "exact_match" in line]) == 1
    nobody = ["--judge_url", "http://127.0.0.1:9/v1", "--judge_model", "x", "--retries", 0]
    judged = cli("judge", "left", "--dataset", typed, *nobody)
    assert "unknown" not in judged.err


@pytest.mark.slow
def test_an_earlier_name_of_a_model_is_found_and_not_trained_twice(cli, llama, tmp_path, monkeypatch, sample):
    monkeypatch.setenv("XLLM_MODEL_DIR", str(tmp_path))
    shutil.copytree(llama, tmp_path / "tiny")
    words = ("train", "tiny", "alpaca_en[:4]*2", "--max_steps", "1", "--global_batch_size", "4")
    assert Path(cli(*words).out.strip()).name == "tiny.alpaca_en.first4.x2.finetune"
    new, old = tmp_path / "tiny.alpaca_en.first4.x2.finetune", tmp_path / "tiny.alpaca_en[:4]*2.finetune"
    assert model_folder.find(old.name) == str(new) == model_folder.find(str(old))
    new.rename(old)
    assert model_folder.find(new.name) == str(old) == model_folder.find(str(new))
    again = cli(*words)
    assert again.code == 2 and "already exists" in again.err
    asked = cli("infer", new.name, "xquad_en[:1]", "--max_new_tokens", "1")
    assert asked.out == f"{old / 'test' / 'xquad_en.first1.inference.jsonl'}\n"
    (old / "test" / "xquad_en.first1.inference.jsonl").rename(old / "test" / "xquad_en[:1].inference.jsonl")
    assert "already exists" in cli("infer", new.name, "xquad_en[:1]").err
