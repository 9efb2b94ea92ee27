"""The commands of the README, as a user types them, in a checkout of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gradio_client import Client
from safetensors.torch import load_file

from tests.conftest import HOME
from xllm.files import read_jsonl

pytestmark = pytest.mark.slow

SAMPLE = HOME / "data" / "sample"
MIXTURE = "alpaca_en+alpaca_zh+translation_ncwm_en-zh"
TUNED = f"llama-7b-hf.{MIXTURE}.finetune"


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of the code, without data and models."""
    folder = tmp_path / "checkout"
    skip = shutil.ignore_patterns("__pycache__", "sample", ".partial*")
    for name in ("xllm", "script", "data"):
        shutil.copytree(HOME / name, folder / name, ignore=skip)
    shutil.copy(HOME / "app.py", folder)
    (folder / "model").mkdir()
    return folder


@pytest.fixture
def bash(checkout):
    """Run a command line in the checkout, with the Python of the tests first on the path."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "XLLM_DATA_DIR", "NPROC")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"

    def run(line, **extra):
        return subprocess.run(
            ["bash", "-c", line],
            cwd=checkout,
            env=environment | extra,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    return run


def test_train_infer_evaluate_and_chat(checkout, bash, tiny, page_of):
    shutil.copytree(tiny, checkout / "model" / "llama-7b-hf")
    shutil.copytree(SAMPLE / "alpaca", checkout / "data" / "alpaca", dirs_exist_ok=True)
    for source, target in (("train", "ncwm"), ("test", "flores")):
        pair = checkout / "data" / "translation" / target / "en-zh"
        pair.mkdir(parents=True)
        for path in (SAMPLE / "translation" / "daily" / "en-zh").glob(f"{source}.*"):
            shutil.copy(path, pair)

    done = bash(f"bash script/train.sh llama-7b-hf {MIXTURE}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{checkout}/model/{TUNED}\n"

    done = bash(f"bash script/inference.sh {TUNED} translation_flores_en-zh")
    path = checkout / "model" / TUNED / "test" / "translation_flores_en-zh.inference.jsonl"
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{path}\n"
    assert "row/s" in done.stderr or "s/row" in done.stderr
    assert [row["input"] for row in read_jsonl(path)] == (
        path.parents[3] / "data/translation/flores/en-zh/test.en"
    ).read_text().splitlines()

    done = bash(f"bash script/evaluate.sh {TUNED} translation_flores_en-zh")
    assert done.returncode == 0 and "tok:zh" in done.stdout
    assert path.with_name("translation_flores_en-zh.metrics.json").is_file()

    client = Client(page_of(f"model/{TUNED}", checkout), verbose=False)
    assert isinstance(client.predict("Say hello.", "", "alpaca", 10, 1, False, 0.7, 0.75, 40, api_name="/answer"), str)


def test_flags_go_through_the_scripts(checkout, bash, llama):
    shutil.copytree(llama, checkout / "model" / "tiny")
    sample = {"XLLM_DATA_DIR": str(SAMPLE)}
    done = bash("bash script/train.sh tiny 'alpaca_en[:16]' --name quick --max_steps 1 --global_batch_size 4", **sample)
    assert done.returncode == 0, done.stderr
    done = bash("bash script/inference.sh quick 'xquad_zh[:3]' 2 --max_new_tokens 3", **sample)
    assert done.returncode == 0 and len(read_jsonl(done.stdout.strip())) == 3, done.stderr
    done = bash("bash script/train.sh tiny alpaca_en --max_step 1", **sample)
    assert done.returncode == 2 and "unknown flag '--max_step'" in done.stderr
    assert [path.name for path in (checkout / "model").glob("[tq]*")] == ["tiny", "quick"]


def test_two_processes_train_as_one_does(checkout, bash, llama):
    shutil.copytree(llama, checkout / "model" / "tiny")
    flags = "--max_steps 3 --global_batch_size 16 --learning_rate 1e-3"
    for count in (1, 2):
        line = f"bash script/train.sh tiny 'alpaca_en[:64]' --name by{count} {flags}"
        done = bash(line, XLLM_DATA_DIR=str(SAMPLE), NPROC=str(count))
        assert done.returncode == 0 and done.stdout.endswith(f"by{count}\n"), done.stderr
    one, two = (load_file(checkout / f"model/by{n}/model.safetensors") for n in (1, 2))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.linalg.norm(tensor - two[name]) <= 1e-5 * torch.linalg.norm(tensor), name

    done = bash("bash script/train.sh tiny alpca_en", XLLM_DATA_DIR=str(SAMPLE), NPROC="2")
    assert done.returncode == 2 and done.stderr.strip().count("\n") == 0 and "did you mean alpaca?" in done.stderr


def test_the_quickstart_ends_with_base_against_tuned_and_then_has_nothing_left_to_do(checkout, bash, llama):
    shutil.copytree(llama, checkout / "model" / "tiny")
    shutil.copytree(SAMPLE, checkout / "data" / "sample")
    environment = checkout / ".venv"  # the one the tests run in, set up already
    environment.mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != ".xllm":
            (environment / part.name).symlink_to(part)
    for name in ("setup.py", "constraints.txt"):
        shutil.copy2(HOME / name, checkout)
    (environment / ".xllm").touch()

    first = bash("bash script/quickstart.sh", BASE="tiny")
    assert first.returncode == 0, first.stderr
    compared = first.stdout[first.stdout.index("A  tiny") :]
    assert compared.startswith("A  tiny\nB  tiny.translation_daily_en-zh+alpaca_en.finetune\n\n")
    lines = [line.split() for line in compared.splitlines() if line.startswith(("translation", "xquad"))]
    assert [line[:4] for line in lines] == [
        ["translation_daily_en-zh", "BLEU", "60", "A"],
        ["translation_daily_en-zh", "chrF++", "60", "A"],
        ["xquad_en", "exact_match", "30", "A"],
        ["xquad_en", "f1", "30", "A"],
        ["xquad_en", "contains", "30", "A"],
    ]
    assert "+ python -m xllm quickstart --base tiny\n" in first.stderr
    assert "+ xllm train tiny translation_daily_en-zh+alpaca_en --num_train_epochs 1" in first.stderr

    second = bash("bash script/quickstart.sh", BASE="tiny")
    assert second.returncode == 0 and second.stdout.endswith(compared)
    assert "+ xllm train" not in second.stderr and "+ xllm infer" not in second.stderr
