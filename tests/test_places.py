"""Where a user's data and models are: in the working folder, unless a flag or the environment names another place."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import HOME, SAMPLE
from xllm import places
from xllm.loading import scripts

TRAIN = ["alpaca_en", "text_news_zh", "translation_flores_en-zh"]
TEST = ["belebele_zh", "ceval_all", "mieval_zh", "mlqa_en-zh", "mmlu_all", "pawsx_zh", "xcopa_zh", "xnli_zh"]
TEST += ["xquad_zh", "xwinograd_zh"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    for name in ("XLLM_DATA_DIR", "XLLM_MODEL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_data_are_in_the_working_folder_else_where_the_environment_or_the_flag_says(cli, here, monkeypatch):
    roots = {place: here / place / "alpaca" for place in ("data", "environment", "flag")}
    for place, folder in roots.items():
        folder.mkdir(parents=True)
        rows = [{"instruction": "Say it.", "input": "", "output": place}]
        (folder / "alpaca_xx.json").write_text(json.dumps(rows))

    def output(*words):
        outcome = cli("mixture", "alpaca_xx", "--lock", here / "lock.json", *words)
        assert outcome.code == 0, outcome.err
        return json.loads((here / "lock.json").read_text())["terms"][0]["sha256"]["alpaca/alpaca_xx.json"]

    found = [output()]
    monkeypatch.setenv("XLLM_DATA_DIR", "environment")
    found += [output(), output("--data_dir", here / "flag")]
    assert len(set(found)) == 3
    monkeypatch.setenv("XLLM_DATA_DIR", "")  # as if it weren't set
    assert output() == found[0]


@pytest.mark.parametrize("term", TRAIN + TEST)
def test_without_data_every_script_of_ours_is_found_and_tells_which_file_it_looked_for(cli, here, term):
    outcome = cli("mixture", term, "--split", "test" if term in TEST else "train")
    assert outcome.code == 2 and not outcome.out
    said = outcome.err.splitlines()[-1]  # after a bar
    assert said.startswith(f"xllm: {term}: raw file not found: {here}/data/{term.partition('_')[0]}")
    assert f"(there is no {here}/data; XLLM_DATA_DIR or --data_dir names a data root)" in said
    assert not list(here.iterdir())


def test_every_script_of_ours_is_among_those_terms(here):
    assert sorted(scripts.scripts(here)) == sorted(term.partition("_")[0] for term in TRAIN + TEST)


def test_a_folder_that_was_named_must_be_there(cli, here, monkeypatch):
    monkeypatch.setenv("XLLM_DATA_DIR", "nowhere")
    outcome = cli("mixture", "alpaca_en")
    assert outcome.code == 2 and "data root 'nowhere' isn't a folder" in outcome.err


def test_models_are_in_the_working_folder_else_where_the_environment_says(cli, here, llama, monkeypatch):
    monkeypatch.setenv("XLLM_DATA_DIR", str(SAMPLE))
    for place in ("model", "elsewhere"):
        shutil.copytree(llama, here / place / "tiny")
    assert cli("infer", "tiny", "xquad_en[:1]", "--max_new_tokens", "1").out.startswith(f"{here}/model/tiny/test/")
    monkeypatch.setenv("XLLM_MODEL_DIR", "elsewhere")
    assert cli("infer", "tiny", "xquad_en[:1]", "--max_new_tokens", "1").out.startswith(f"{here}/elsewhere/tiny/test/")
    outcome = cli("infer", "tyni", "xquad_en[:1]")
    assert outcome.code == 2 and f"did you mean tiny? (looked in {here}/elsewhere;" in outcome.err


def test_the_checkout_s_own_data_lie_beside_the_package(here):
    assert places.own_data() == HOME / "data"


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("bash", HOME / "script" / "evaluate.sh", "tyni"), (sys.executable, HOME / "app.py", "tyni")], ids=str
)
def test_what_a_checkout_has_to_start_uses_its_own_models_from_any_folder(here, words):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def said(**variables):
        environment = os.environ | {"PATH": path} | variables
        return subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True).stderr

    assert f"looked in {HOME}/model;" in said()
    assert f"looked in {here}/elsewhere;" in said(XLLM_MODEL_DIR="elsewhere")
