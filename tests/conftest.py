"""What the tests share: tiny real models with real tokenizers, the sample data, and the command line in-process."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

# before any library of Hugging Face is imported: no network, and a cache of our own
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="xllm-tests-")
# and of torch, however many cores there are: sums are rounded alike, and two processes do more than one with two threads
os.environ["OMP_NUM_THREADS"] = "1"
for name in ("XLLM_DATA_DIR", "XLLM_MODEL_DIR"):
    os.environ.pop(name, None)

from contextlib import contextmanager  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

from xllm.__main__ import main  # noqa: E402

HOME = Path(__file__).resolve().parent.parent  # the checkout
SAMPLE = HOME / "data" / "sample"
BASE_MODEL = HOME / "model" / "smollm2-135m"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lacking = {
        "real": None if os.environ.get("XLLM_REAL_DATA_DIR") else "XLLM_REAL_DATA_DIR names no real data root",
        "base_model": None if BASE_MODEL.is_dir() else "no model/smollm2-135m; xllm fetch smollm2-135m",
    }
    for item in items:
        for mark, reason in lacking.items():
            if mark == "base_model" and os.environ.get("CI") == "true":
                continue  # there it must not be missing
            if reason and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys):
    """Run `xllm …` in this process."""

    def run(*argv: object) -> Outcome:
        capsys.readouterr()
        code = main([str(word) for word in argv])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def sample(monkeypatch) -> Path:
    """The sample data as the data root."""
    monkeypatch.setenv("XLLM_DATA_DIR", str(SAMPLE))
    return SAMPLE


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """An empty data root."""
    monkeypatch.setenv("XLLM_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def real(monkeypatch) -> Path:
    """The real data root, for tests marked `real`."""
    monkeypatch.setenv("XLLM_DATA_DIR", os.environ["XLLM_REAL_DATA_DIR"])
    return Path(os.environ["XLLM_REAL_DATA_DIR"])


@pytest.fixture
def torchrun():
    """Run a script, or -m and a module, in two processes on the sample data; what they say."""

    def run(*words: object) -> str:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *words]
        environment = os.environ | {"XLLM_DATA_DIR": str(SAMPLE), "PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@contextmanager
def pages(tmp_path: Path):
    """What starts `python app.py MODEL …` in a checkout, this one if none is named; the address of its page."""
    processes = []

    def start(model, checkout: Path = HOME, *words: object, **variables: str) -> str:
        environment = os.environ | {"PYTHONUNBUFFERED": "1"} | variables
        environment.pop("PYTHONPATH", None)
        command, log = [sys.executable, "app.py", *map(str, [model, *words])], (tmp_path / "app.log").open("w")
        process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        processes.append(process)
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                # keep the pipe empty, or the server would block on it
                threading.Thread(target=process.stdout.read, daemon=True).start()
                return found.group()
        raise AssertionError((tmp_path / "app.log").read_text())

    start.processes = processes
    yield start
    for process in processes:
        process.terminate()
        process.wait()


@pytest.fixture
def page_of(tmp_path):
    """Start `python app.py MODEL …`; the address of its page."""
    with pages(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_site(tmp_path_factory, llama):
    """Start a page in a `site` of its own, for all tests of a file: its folder, its address and its process."""
    folder = make_site(tmp_path_factory.mktemp("served") / "site", llama)
    with pages(folder.parent) as start:

        def served(model, *words, **variables):
            address = start(model, folder, *words, **variables)
            return folder, address, start.processes[-1].pid

        yield served


@pytest.fixture
def site(tmp_path, llama) -> Path:
    """A copy of the code with two tiny models, `left` and `right`, which have answered two questions."""
    return make_site(tmp_path / "site", llama)


def make_site(folder: Path, llama: Path) -> Path:
    import json

    from transformers import AutoTokenizer

    shutil.copytree(HOME / "xllm", folder / "xllm", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HOME / "app.py", folder)
    for seed, name in enumerate(("left", "right")):
        save_llama(folder / "model" / name, AutoTokenizer.from_pretrained(llama), window=16384, seed=seed)
        (folder / "model" / name / "test").mkdir()
    rows = [
        {"id": "1", "instruction": "Answer.", "input": "Where is <b>Athens</b>?", "output": "in Greece"},
        {"id": "2", "instruction": "Answer.", "input": "أين تقع القاهرة؟", "output": "في مصر على النيل"},
    ]
    answers = {
        "left": ["It is in Greece.", "في مصر على النيل"],
        "right": ["<script>in Turkey</script>", "في المغرب على البحر"],
    }
    term = {"from": "xquad_en", "task": "qa", "language": "en", "rows": 2}
    for name, predictions in answers.items():
        test = folder / "model" / name / "test"
        lines = [row | {"from": "xquad_en", "prediction": text} for row, text in zip(rows, predictions, strict=True)]
        (test / "xquad_en.inference.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (test / "xquad_en.run.json").write_text(json.dumps({"mixture": {"terms": [term]}}))
    return folder


@pytest.fixture(scope="session")
def llama(tmp_path_factory) -> Path:
    """A 2-layer LLaMA with a sentencepiece tokenizer: byte fallback, bos added, no pad token."""
    folder = tmp_path_factory.mktemp("models") / "llama-7b-hf"
    save_llama(folder, train_sentencepiece(folder))
    return folder


@pytest.fixture(scope="session")
def smol(tmp_path_factory) -> Path:
    """A 2-layer LLaMA with SmolLM2's BPE tokenizer, whose pad token is its eos token."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("models") / "smol"
    save_llama(folder, AutoTokenizer.from_pretrained(BASE_MODEL))
    return folder


@pytest.fixture(params=["llama", pytest.param("smol", marks=pytest.mark.base_model)])
def tiny(request) -> Path:
    """Each of the two tiny models."""
    return request.getfixturevalue(request.param)


def train_sentencepiece(folder: Path):
    """A LLaMA tokenizer on a sentencepiece model of the sample data, as LLaMA's own is made."""
    import sentencepiece
    from transformers import LlamaTokenizerFast

    folder.mkdir(parents=True)
    texts = sorted((SAMPLE / "translation" / "daily" / "en-zh").glob("train.*"))
    texts += sorted((SAMPLE / "alpaca").glob("*.json"))
    sentencepiece.SentencePieceTrainer.train(
        input=[str(path) for path in texts],
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=1200,
        byte_fallback=True,
        character_coverage=0.98,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "tokenizer.vocab").unlink()
    return LlamaTokenizerFast.from_pretrained(folder, add_bos_token=True)


def save_llama(folder: Path, tokenizer, window: int = 640, seed: int = 0) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=window,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
