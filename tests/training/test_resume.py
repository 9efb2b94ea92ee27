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
from xllm.files import partial

SAMPLE = HOME / "data" / "sample"
MIXTURE = "alpaca_en[:24]+alpaca_zh[:12]"  # nine steps of four rows an epoch
FLAGS = ("--global_batch_size", "4", "--max_steps", "24", "--learning_rate", "1e-3", "--save_steps", "1")


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


def checkpointed(work: Path):
    return lambda: any(work.glob("checkpoint-1?"))


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture
def uninterrupted(cli, llama, tmp_path, sample) -> Path:
    folder = tmp_path / "uninterrupted"
    assert cli("train", llama, MIXTURE, "--output_dir", folder, *FLAGS).code == 0
    return folder


def test_killed_while_saving_then_out_of_disk_then_finished(cli, llama, tmp_path, uninterrupted):
    folder, log = tmp_path / "killed", tmp_path / "log"
    work = partial(folder)
    process = start(train(llama, folder), log)
    # in the second epoch, in the middle of a checkpoint
    until(process, lambda: any(work.glob("checkpoint-1?")) and any(work.glob(".*.partial/*.safetensors")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    [whole] = work.glob("checkpoint-*")

    process = start(train(llama, folder), log, limit=100_000)  # a checkpoint has more
    assert process.wait() == 2, log.read_text()
    said = log.read_text()
    assert "cannot save" in said and f"{whole.name} is whole" in said and f"going on from {whole.name}" in said
    assert "Traceback" not in said and list(work.glob("checkpoint-*")) == [whole]
    assert not list(work.glob(".*.partial"))

    words = ("train", llama, MIXTURE, "--output_dir", folder, *FLAGS)
    outcome = cli(*words, "--learning_rate", "1e-4")
    assert outcome.code == 2 and "training learning_rate was 0.001 and is 0.0001; to drop it: rm -r" in outcome.err
    assert "saves no checkpoints" in cli(*words[:-2]).err and whole.is_dir()

    outcome = cli(*words)
    assert outcome.code == 0 and f"going on from {whole.name}" in outcome.err
    assert weights(folder) == weights(uninterrupted) and not work.exists()
    assert {path.name for path in folder.iterdir()} == {path.name for path in uninterrupted.iterdir()}
    logs = [
        [json.loads(line) for line in (way / "log.jsonl").read_text().splitlines()] for way in (folder, uninterrupted)
    ]
    losses = [[(entry["step"], entry["loss"]) for entry in log if "loss" in entry] for log in logs]
    assert losses[0] == losses[1] and [step for step, _ in losses[0]] == list(range(1, 25))


def test_a_killed_process_is_brought_back_from_the_last_checkpoint(llama, tmp_path):
    """Two processes, one of which is killed: the same weights as if it hadn't been."""
    log, results = tmp_path / "log", []
    for name in ("whole", "killed"):
        folder = tmp_path / name
        words = ["bash", HOME / "script" / "train.sh", *train(llama, folder)[4:], "--max_restarts", "1"]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        process = start(words, log, NPROC="2", PATH=path)
        if name == "killed":
            until(process, checkpointed(partial(folder)))
            os.kill(ranks(process.pid)[-1], signal.SIGKILL)
        assert process.wait() == 0, log.read_text()
        assert ("going on from checkpoint-" in log.read_text()) == (name == "killed")
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
    until(process, lambda: any(partial(folder).glob("checkpoint-?")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert start([*train(llama, folder), "--prepare_only"], log, NPROC="2").wait() == 2
    assert "processes was 1 and is 2" in log.read_text()
