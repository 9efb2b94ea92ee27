"""A run that is killed loses no answer, and its answers are those of a run that wasn't."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import HOME
from xllm.files import read_jsonl

pytestmark = pytest.mark.slow

SAMPLE = HOME / "data" / "sample"
DATASET = "translation_daily_en-zh"
FLAGS = ("--max_new_tokens", "24", "--batch_size", "4", "--seed", "3", "--do_sample", "--temperature", "0.8")
NAMES = ("inference.jsonl", "run.json")
KILLS = int(os.environ.get("XLLM_KILLS", 10))  # of each number of processes

# Runs commands, each as one process or several, in children of a process that has all imports behind it; each is
# killed after so many seconds, or once its journal has so many lines, if it hasn't ended. Says for each how its
# processes ended, and after how long.
STARTER = textwrap.dedent("""
    import glob, json, os, signal, sys, time
    from xllm.inference import predict, answering, vllm
    from xllm.__main__ import main

    def written(journal):
        return sum(open(path, "rb").read().count(b"\\n") for path in glob.glob(f"{glob.escape(journal)}/rank-*"))

    def run(words, processes, port, seconds, lines, journal):
        began, children = time.time(), []
        for rank in range(processes):
            child = os.fork()
            if not child:
                os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                code = main(words)
                sys.stderr.flush()
                os._exit(code)
            children.append(child)
        codes = {}
        while len(codes) < len(children):
            for child in children:
                if child not in codes and (found := os.waitpid(child, os.WNOHANG))[0]:
                    codes[child] = found[1]
            late = seconds is not None and time.time() - began > seconds
            if late or any(codes.values()) or lines is not None and written(journal) >= lines:
                for child in children:  # torchrun ends the others, too
                    if child not in codes:
                        os.kill(child, signal.SIGKILL)
            time.sleep(0.002)
        return [os.waitstatus_to_exitcode(code) for code in codes.values()], time.time() - began

    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)
""")


@pytest.fixture(scope="module")
def start(tmp_path_factory, model):
    """Run `infer` in one process or several, perhaps killed: the exit codes, and the seconds that it took."""
    environment = os.environ | {"XLLM_DATA_DIR": str(SAMPLE), "PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1"}
    log = (tmp_path_factory.mktemp("log") / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER],
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
    )

    def run(words, processes=1, seconds=None, lines=None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        asked = {"words": list(map(str, words)), "processes": processes, "port": port, "seconds": seconds}
        asked |= {"lines": lines, "journal": str(path_of(model, "journal"))}
        print(json.dumps(asked), file=process.stdin, flush=True)
        while not (line := process.stdout.readline()).startswith("["):
            assert line, Path(log.name).read_text()
        return json.loads(line)

    yield run
    process.stdin.close()
    process.wait()


@pytest.fixture(scope="module")
def model(llama, tmp_path_factory):
    return shutil.copytree(llama, tmp_path_factory.mktemp("answered") / "model")


@pytest.fixture(scope="module")
def words(model):
    return ["infer", model, DATASET, *FLAGS]


def path_of(model, ending="inference.jsonl"):
    return model / "test" / f"{DATASET}.{ending}"


def take(model):
    """The answers; then they are gone."""
    found = path_of(model).read_bytes()
    assert not path_of(model, "journal").exists()
    shutil.rmtree(model / "test")
    return found


@pytest.fixture(scope="module")
def uninterrupted(start, words, model):
    assert start(words)[0] == [0]
    return take(model)


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_at_any_moment_and_finished(start, words, model, uninterrupted, processes):
    expected = uninterrupted
    codes, seconds = start(words, processes)
    assert codes == [0] * processes and take(model) == expected
    interrupted = 0  # between the first answer and the last
    generator = random.Random(processes)
    for number in range(KILLS):
        # by the clock it may be too late where the machine is busy now or was when the time was taken
        late = {"seconds": seconds * generator.uniform(0.3, 1)} if number % 2 else {"lines": generator.randint(1, 20)}
        codes, _ = start(words, processes, **late)
        lines = sum(len(path.read_text().splitlines()) for path in path_of(model, "journal").glob("rank-*"))
        interrupted += -signal.SIGKILL in codes and 0 < lines < len(expected.splitlines())
        if not path_of(model).exists():
            codes, _ = start(words, 3 - processes if generator.random() < 0.3 else processes)
            assert codes == [0] * len(codes)
        assert take(model) == expected, (lines, codes)
    assert interrupted


def partly(start, words, model):
    """Begin the work, and be killed when some of it is in the journal, but not all."""
    for _ in range(15):
        start(words, lines=4)
        journal = path_of(model, "journal") / "rank-0.jsonl"
        if journal.exists() and len(journal.read_text().splitlines()) > 3:
            return journal
        shutil.rmtree(model / "test", ignore_errors=True)
    raise AssertionError("never killed in the middle")


def test_what_is_torn_is_answered_again_and_the_rest_is_kept(start, words, model, uninterrupted):
    expected = uninterrupted
    journal = partly(start, words, model)
    lines = journal.read_text().splitlines()
    kept = json.loads(lines[0])
    lines[0] = json.dumps(kept | {"prediction": "as it was written"})
    journal.write_text("\n".join([*lines[:-1], lines[-1][: len(lines[-1]) // 2]]))
    assert start(words)[0] == [0]
    rows = [json.loads(line) for line in take(model).splitlines()]
    assert rows[kept["row"]]["prediction"] == "as it was written"
    rows[kept["row"]]["prediction"] = kept["prediction"]
    assert rows == [json.loads(line) for line in expected.splitlines()]


def test_another_batch_size_finishes_but_other_settings_are_refused(
    start, words, model, uninterrupted, cli, monkeypatch
):
    expected = uninterrupted
    monkeypatch.setenv("XLLM_DATA_DIR", str(SAMPLE))
    journal = partly(start, words, model)
    for flags, message in (
        (("--seed", "4"), "seed was 3 and is 4"),
        (("--temperature", "0.7"), "decoding temperature was 0.8 and is 0.7"),
        (("--template", "raw"), "template was 'alpaca' and is 'raw'"),
    ):
        outcome = cli(*words, *flags)
        assert outcome.code == 2 and message in outcome.err and "--overwrite to start over" in outcome.err
        assert journal.exists() and not path_of(model).exists()
    settings = (model / "generation_config.json").read_text()
    (model / "generation_config.json").write_text(settings + " ")
    assert "model generation_config.json was" in cli(*words).err
    (model / "generation_config.json").write_text(settings)
    assert start([*words, "--batch_size", "7"])[0] == [0]
    assert [row["prediction"] for row in read_rows(take(model))] == [row["prediction"] for row in read_rows(expected)]

    partly(start, words, model)
    assert cli(*words, "--seed", "4", "--overwrite").code == 0
    assert take(model) != expected


def read_rows(text):
    return [json.loads(line) for line in text.splitlines()]


def test_two_runs_don_t_write_to_one_journal(words, model, cli, monkeypatch):
    import filelock

    monkeypatch.setenv("XLLM_DATA_DIR", str(SAMPLE))
    folder = path_of(model, "journal")
    folder.mkdir(parents=True)
    with filelock.FileLock(folder / "lock"):
        outcome = cli(*words)
    assert outcome.code == 2 and f"another process is writing to {folder}" in outcome.err
    shutil.rmtree(model / "test")


MEMORY = """
import resource, sys
from transformers import LlamaConfig
from xllm.inference import predict, answering, vllm
from xllm.inference.hf import HFEngine
from xllm.__main__ import main

load = HFEngine.load
def limited(*args):
    engine = load(*args)
    here = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here + ROOM, here + ROOM))
    return engine
HFEngine.load = limited
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def wide(llama, tmp_path_factory):
    """A model whose cache takes 96 KiB a token."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("wide") / "model"
    tokenizer = AutoTokenizer.from_pretrained(llama)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=64,
        num_key_value_heads=64,
        head_dim=64,
        max_position_embeddings=2048,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("room", "tokens", "failed"), [(500, 32, 0), (4, 700, 30)])
def test_where_memory_runs_out_fewer_rows_go_together(wide, room, tokens, failed):
    """30 rows and their answers take a GiB together, one alone some 30 MiB; with long answers, 90."""
    words = ["infer", str(wide), "xquad_en", "--max_new_tokens", str(tokens), "--limit", "30", "--overwrite"]
    environment = os.environ | {"XLLM_DATA_DIR": str(SAMPLE), "PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1"}
    code = MEMORY.replace("ROOM", str(room * 2**20))
    done = subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == (3 if failed else 0), done.stderr
    rows = read_jsonl(wide / "test" / "xquad_en.first30.inference.jsonl")
    assert sum("failed" in row for row in rows) == failed and len(rows) == 30
    if failed:
        assert all("out of memory: " in row["failed"] for row in rows)
        assert "30 of 30 rows failed" in done.stderr.splitlines()[-1]
