"""One model has one name, and one place of its answers, however it is typed."""

import json
import shutil
from pathlib import Path

import pytest

from xllm import places
from xllm.artifacts import answers, model_card, model_folder
from xllm.files import read_json

COMMIT = "fedcba98765432100123456789abcdef01234567"


@pytest.fixture
def home(tmp_path, monkeypatch, llama):
    """A working folder with the model `own` below model/, links to it, and a snapshot in the hub's cache."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(llama, "model/own")
    shutil.copytree(llama, f"hub/models--some--llama/snapshots/{COMMIT}")
    Path("model/link").symlink_to("own")
    Path("elsewhere").symlink_to("model/own")
    Path("cached").symlink_to(f"hub/models--some--llama/snapshots/{COMMIT}")
    return tmp_path


OWN = [
    "own",
    "model/own",
    "model/own/",
    "./model/own",
    "model/../model/own/.",
    "model/link",
    "link",
    "elsewhere",
    "ABSOLUTE",
]
CACHED = [
    f"hub/models--some--llama/snapshots/{COMMIT}",
    "cached",
    "cached/",
    f"hub/models--some--llama/snapshots/{COMMIT}/",
]


@pytest.mark.parametrize("typed", OWN)
def test_a_folder_has_one_name(home, typed):
    typed = str(home / "model" / "own") if typed == "ABSOLUTE" else typed
    assert model_folder.short_name(typed) == "own"
    assert model_folder.folder_of(typed).resolve() == places.models() / "own"


@pytest.mark.parametrize("typed", [*CACHED, "some/llama"])
def test_a_snapshot_of_the_hub_s_cache_is_the_hub_s_model(home, typed):
    assert model_folder.short_name(typed) == "llama"
    assert answers.folder_of(typed) == places.models() / "some--llama" / "test"
    assert model_card.origin(typed)["base_model"] == "some/llama"


def test_a_hub_model_without_an_organisation(home):
    Path("hub/models--some--llama").rename("hub/models--gpt2")
    assert model_folder.short_name(f"hub/models--gpt2/snapshots/{COMMIT}") == "gpt2"


def test_a_folder_that_only_looks_like_a_snapshot_keeps_its_name(home):
    Path("runs/snapshots/3").mkdir(parents=True)
    assert model_folder.short_name("runs/snapshots/3") == "3" and model_folder.snapshot("runs/snapshots/3") is None


def test_what_a_snapshot_says_of_its_tuning_is_read(home):
    (home / CACHED[0] / "run.json").write_text(json.dumps({"encoding": {"template": "raw"}}))
    assert model_folder.template_of("cached") == "raw"


@pytest.mark.parametrize(("typed", "name"), [("link", "own"), ("elsewhere/", "own"), ("cached", "llama")])
def test_what_is_made_of_a_model_is_named_after_it(home, sample, cli, typed, name):
    outcome = cli("train", typed, "alpaca_en[:2]", "finetune", "--max_steps", "1")
    assert outcome.code == 0, outcome.err
    folder = home / "model" / f"{name}.alpaca_en.first2.finetune"
    assert read_json(folder / "run.json")["base"]["name"] == typed


def test_answers_by_a_snapshot_and_by_its_hub_id_are_one_run_s(home, sample, cli, monkeypatch):
    outcome = cli("infer", "cached", "mieval_en[:1]", "--max_new_tokens", "2")
    assert outcome.code == 0, outcome.err
    path = home / "model" / "some--llama" / "test" / "mieval_en.first1.inference.jsonl"
    assert outcome.out.strip() == str(path) and not (home / "cached" / "test").exists()
    assert read_json(path.with_name("mieval_en.first1.run.json"))["sha256"]["config.json"]
    outcome = cli("infer", "elsewhere", "mieval_en[:1]", "--max_new_tokens", "2")
    assert outcome.code == 0 and (home / "model" / "own" / "test" / "mieval_en.first1.inference.jsonl").exists()
    outcome = cli("infer", "own", "mieval_en[:1]", "--max_new_tokens", "2")
    assert outcome.code == 2 and "already exists" in outcome.err
