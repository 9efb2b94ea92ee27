"""A run that is killed goes on as if it had never been."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import HOME
from xllm.artifacts import model_folder
from xllm.training.trainer import StepTrainer

pytestmark = pytest.mark.slow

SAMPLE = HOME / "data" / "sample"
MIXTURE = "alpaca_en[:24]+alpaca_zh[:12]"  # nine steps of four rows an epoch, many of which are dropped
RECIPE = ("--model_max_length", "150", "--global_batch_size", "4", "--max_steps", "24", "--learning_rate", "1e-3")
FLAGS = (*RECIPE, "--save_steps", "1")


def start(words: list, log: Path, *, limit: int | None = None, **environment: str) -> subprocess.Popen:
    """Start a command that says what it says in `log`, and writes no file of more than `limit` bytes."""

    def limited():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = os.environ | {"XLLM_DATA_DIR": str(SAMPLE), "PYTHONPATH": str(HOME)} | environment
    with log.open("w") as file:  # not a pipe, which would fill while nobody reads
        return subprocess.Popen(list(map(str, words)), env=environment, stdout=file, stderr=file, preexec_fn=limited)


def train(model: Path, folder: Path) -> list:
    return [sys.executable, "-m", "xllm", "train", model, MIXTURE, "--output_dir", folder, *FLAGS]


def until(process: subprocess.Popen, there) -> None:
    """Wait for what `there` looks for."""
    while not there():
        assert process.poll() is None


def checkpointed(folder: Path):
    return lambda: any(folder.glob("checkpoint-1?"))


def lines(folder: Path) -> int:
    log = folder / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture
def uninterrupted(cli, llama, tmp_path, sample) -> Path:
    folder = tmp_path / "uninterrupted"
    assert cli("train", llama, MIXTURE, "--output_dir", folder, *FLAGS).code == 0
    return folder


@pytest.fixture(scope="module")
def dropping(llama, tmp_path_factory) -> Path:
    """A GPT-2, whose dropout draws in every layer of every step."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    tokenizer, folder = AutoTokenizer.from_pretrained(llama), tmp_path_factory.mktemp("models") / "gpt2"
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=640, n_embd=32, n_layer=2, n_head=4, bos_token_id=1)
    assert config.resid_pdrop == config.embd_pdrop == config.attn_pdrop == 0.1
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


LOOKED_AT = (
    "--eval_mixture",
    "translation_daily_en-zh[:4]",
    "--dev",
    "translation_daily_en-zh[:1]",
    "--eval_steps",
    "2",
)
WAYS = {
    "evaluated, and logged every step": LOOKED_AT,
    "logged every fourth step, by two processes that lay rows out": (
        *("--logging_steps", "4", "--dataloader_num_workers", "2"),
        *("--optim", "adafactor", "--activation_checkpointing", "True"),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_random_goes_on_where_it_was(cli, dropping, tmp_path, sample, monkeypatch, way):
    """Three steps an epoch; stopped within the first, at its end, and within the second: each line of the log and
    each bit of the weights is that of a run that wasn't stopped."""
    step, stop = StepTrainer.training_step, set()

    def stopping(trainer, *args, **keywords):
        if trainer.state.global_step in stop:
            raise KeyboardInterrupt
        return step(trainer, *args, **keywords)

    monkeypatch.setattr(StepTrainer, "training_step", stopping)
    flags = ("--global_batch_size", "4", "--max_steps", "6", "--learning_rate", "1e-2", "--save_steps", "1", *WAYS[way])
    words = ("train", dropping, "alpaca_en[:8]+alpaca_zh[:4]", *flags, "--output_dir")
    assert cli(*words, tmp_path / "whole").code == 0
    for at in (1, 3, 5):
        stop.add(at)
        assert cli(*words, tmp_path / "stopped").code == 130
        stop.clear()
    assert "resuming from checkpoint-5" in cli(*words, tmp_path / "stopped").err
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")
    assert logged(tmp_path / "stopped") == logged(tmp_path / "whole")
    losses = [entry["step"] for entry in logged(tmp_path / "whole") if "loss" in entry]
    assert losses == ([4, 6] if "--logging_steps" in WAYS[way] else [1, 2, 3, 4, 5, 6])


def logged(folder: Path) -> list[dict]:
    """The log without what goes by the clock."""
    clock = {"target_tokens_per_second", "tokens_per_second", "mfu", "seconds_left"}
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name not in clock} for entry in log]


def test_killed_while_saving_then_out_of_disk_then_finished(cli, llama, tmp_path, uninterrupted):
    folder, log = tmp_path / "killed", tmp_path / "log"
    process = start(train(llama, folder), log)
    # in the second epoch, in the middle of a checkpoint
    until(process, lambda: any(folder.glob("checkpoint-1?")) and any(folder.glob(".*.partial/*.safetensors")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    [whole] = folder.glob("checkpoint-*")

    process = start(train(llama, folder), log, limit=100_000)  # a checkpoint has more
    assert process.wait() == 2, log.read_text()
    said = log.read_text()
    assert "cannot save" in said and f"{whole.name} is whole" in said and f"resuming from {whole.name}" in said
    assert "Traceback" not in said and list(folder.glob("checkpoint-*")) == [whole]
    assert not list(folder.glob(".*.partial"))

    words = ("train", llama, MIXTURE, "--output_dir", folder, *FLAGS)
    outcome = cli(*words, "--learning_rate", "1e-4")
    assert outcome.code == 2 and "training learning_rate was 0.001 and is 0.0001; to discard it: rm -r" in outcome.err
    assert "saves no checkpoints" in cli(*words[:-2]).err and whole.is_dir()

    outcome = cli(*words)
    assert outcome.code == 0 and f"resuming from {whole.name}" in outcome.err
    assert weights(folder) == weights(uninterrupted)
    assert {path.name for path in folder.iterdir()} == {path.name for path in uninterrupted.iterdir()}
    logs = [
        [json.loads(line) for line in (way / "log.jsonl").read_text().splitlines()] for way in (folder, uninterrupted)
    ]
    losses = [[(entry["step"], entry["loss"]) for entry in log if "loss" in entry] for log in logs]
    assert losses[0] == losses[1] and [step for step, _ in losses[0]] == list(range(1, 25))


def test_a_killed_process_is_brought_back_from_the_last_checkpoint(dropping, tmp_path):
    """Two processes, one of which is killed: the same weights as if it hadn't been."""
    log, results = tmp_path / "log", []
    for name in ("whole", "killed"):
        folder = tmp_path / name
        words = ["bash", HOME / "script" / "train.sh", *train(dropping, folder)[4:], "--max_restarts", "1"]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        process = start(words, log, NPROC="2", PATH=path)
        if name == "killed":
            until(process, checkpointed(folder))
            os.kill(ranks(process.pid)[-1], signal.SIGKILL)
        assert process.wait() == 0, log.read_text()
        assert ("resuming from checkpoint-" in log.read_text()) == (name == "killed")
        results.append(weights(folder))
    assert results[0] == results[1]


def ranks(pid: int) -> list[int]:
    """The processes that train, below torchrun's."""
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def test_a_checkpoint_goes_with_its_number_of_processes(llama, tmp_path):
    folder, log = tmp_path / "out", tmp_path / "log"
    process = start(train(llama, folder), log)
    until(process, lambda: any(folder.glob("checkpoint-?")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert start([*train(llama, folder), "--prepare_only"], log, NPROC="2").wait() == 2
    assert "processes was 1 and is 2" in log.read_text()


def test_without_checkpoints_the_same_command_starts_over_in_the_same_folder(cli, llama, tmp_path, uninterrupted):
    folder, log = tmp_path / "killed", tmp_path / "log"
    words = ("train", llama, MIXTURE, "--output_dir", folder, *FLAGS[:-2])
    process = start([sys.executable, "-m", "xllm", *words], log)
    until(process, folder.exists)
    assert not model_folder.is_finished(folder) or not (folder / "config.json").exists()
    until(process, lambda: lines(folder) > 2)
    process.send_signal(signal.SIGSTOP)  # or it would have come to its end before the second has read its data
    assert f"log: {folder / 'log.jsonl'}" in log.read_text() and not list(tmp_path.glob(".*"))
    second = cli(*words)
    assert second.code == 2
    assert (
        f"another process is training in {folder}, log {folder / 'log.jsonl'} (process {process.pid} on" in second.err
    )
    kill(process)

    (folder / "left.safetensors").touch()
    outcome = cli(*words[:-2], "--learning_rate", "1e-4")
    assert outcome.code == 2 and "training learning_rate was 0.001 and is 0.0001; to discard it: rm -r" in outcome.err
    assert (folder / "left.safetensors").exists()
    assert cli(*words).code == 0
    assert weights(folder) == weights(uninterrupted)
    assert {path.name for path in folder.iterdir()} == {path.name for path in uninterrupted.iterdir()}
    finished = cli(*words)
    assert finished.code == 2 and "already exists" in finished.err


def test_killed_while_it_saves_the_model(cli, llama, tmp_path, uninterrupted):
    """However late: a folder without unfinished.json has all that a finished one has."""
    folder, log = tmp_path / "killed", tmp_path / "log"
    for seen in ("config.json", "model.safetensors", "run.json", "README.md"):
        process = start(train(llama, folder), log)
        until(process, (folder / seen).exists)
        kill(process)
        if model_folder.is_finished(folder):
            break
        for words in (
            ("infer", folder, "xquad_en[:1]"),
            ("evaluate", folder),
            ("compare", folder, llama),
            ("weight_diff", "make", llama, folder, tmp_path / "diff"),
            ("train", folder, "alpaca_en[:4]"),
        ):
            outcome = cli(*words)
            assert outcome.code == 2 and "is an unfinished training run" in outcome.err, words
        assert f"left out: {folder} is an unfinished" in cli("report", folder, llama).err
    if not model_folder.is_finished(folder):
        assert cli(*train(llama, folder)[3:]).code == 0
    assert weights(folder) == weights(uninterrupted)
    names = {path.name for path in folder.iterdir() if not path.name.startswith((".", "checkpoint-"))} - {"lock"}
    assert names == {path.name for path in uninterrupted.iterdir()}


def test_of_folders_that_are_there_an_empty_one_is_taken(cli, llama, tmp_path, sample):
    words = ("train", llama, "alpaca_en[:4]", "--max_steps", "1", "--global_batch_size", "4", "--output_dir")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    (tmp_path / "file").touch()
    for name in ("notes", "file"):
        outcome = cli(*words, tmp_path / name)
        assert outcome.code == 2 and f"{tmp_path / name} already exists" in outcome.err
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert cli(*words, tmp_path / "empty").code == 0 and (tmp_path / "empty" / "model.safetensors").exists()
