"""What is kept between runs: token ids, and the digests of raw files."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest

from tests.conftest import HOME
from xllm import cache
from xllm.errors import XllmError
from xllm.files import remove, sha256
from xllm.mixture.encoding import encode
from xllm.mixture.load import load_mixture
from xllm.models.load import load_tokenizer

SAMPLE = HOME / "data" / "sample"
TEXT = "alpaca_en*20+translation_daily_en-zh*20+xquad_en*0.5"


@pytest.fixture
def empty(tmp_path, monkeypatch, sample):
    """A cache with nothing in it."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    return tmp_path / "datasets"


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(llama, tmp_path, monkeypatch, sample):
    found = []
    for num_proc in (1, 3):
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / str(num_proc))
        mixture = load_mixture("alpaca_en*7+translation_daily_en-zh*5", "train")
        found.append(encode(mixture, load_tokenizer(str(llama)), "alpaca", 160, num_proc))
    one, three = found
    assert 2230 == len(one.rows) > len(one.kept) > 1000 and one.terms == three.terms and one.terms[0].dropped > 0
    for column in one.rows.column_names:
        assert one.rows.data[column].combine_chunks() == three.rows.data[column].combine_chunks()
    with pytest.raises(XllmError, match="--num_proc 0: it must be 1 or more"):
        encode(mixture, load_tokenizer(str(llama)), "alpaca", 160, 0)


def test_token_ids_are_kept_until_something_changes_them(llama, empty, capfd):
    tokenizer = load_tokenizer(str(llama))

    def made(text, template="alpaca", max_length=512) -> bool:
        capfd.readouterr()
        encode(load_mixture(text, "train"), tokenizer, template, max_length)
        return "tokenizing" in capfd.readouterr().err

    assert made("alpaca_en[:5]") and not made("alpaca_en[:5]")
    assert made("alpaca_en[:6]") and made("alpaca_en[:5]", template="raw") and made("alpaca_en[:5]", max_length=511)
    tokenizer.backend_tokenizer.add_tokens(["the"])
    assert made("alpaca_en[:5]") and not made("alpaca_en[:5]")


def prepare(model: Path, home: Path, tmp_path: Path) -> subprocess.Popen:
    """Start `train --prepare_only` with a cache in `home`."""
    environment = os.environ | {"HF_HOME": str(home), "XLLM_DATA_DIR": str(SAMPLE), "PYTHONPATH": str(HOME)}
    command = [sys.executable, "-m", "xllm", "train", str(model), "alpaca_en*40+translation_daily_en-zh*40"]
    command += ["--prepare_only", "--output_dir", str(tmp_path / "out")]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def tokens(home: Path) -> bytes:
    [file] = (home / "datasets" / "xllm" / "tokens").glob("*/tokens.arrow")
    return file.read_bytes()


@pytest.mark.slow
def test_an_interrupted_preparation_is_never_taken_for_whole(llama, tmp_path):
    home = tmp_path / "home"
    process = prepare(llama, home, tmp_path)
    folder = home / "datasets" / "xllm" / "tokens"
    while not any(file.stat().st_size > 100_000 for file in folder.glob(".*.partial/tokens.arrow")):
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(folder.glob("*/tokens.arrow")) or all(
        path.parent.name.startswith(".") for path in folder.glob("*/*")
    )
    again = prepare(llama, home, tmp_path)
    assert "tokenizing" in again.communicate()[1] and again.returncode == 0
    fresh = prepare(llama, tmp_path / "fresh", tmp_path)
    fresh.communicate()
    assert tokens(home) == tokens(tmp_path / "fresh")
    assert not list(folder.glob(".*.partial"))


@pytest.mark.slow
def test_of_processes_that_start_together_one_prepares(llama, tmp_path):
    processes = [prepare(llama, tmp_path / "home", tmp_path) for _ in range(3)]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert sum("tokenizing" in text for text in said) == 1
    assert [re.findall(r"alpaca_en: (\d+) rows", text) for text in said] == [["3600"]] * 3
    assert len(tokens(tmp_path / "home")) > 100_000


def test_a_folder_in_which_another_process_begins_to_prepare_is_left_alone(empty):
    load_mixture("alpaca_en[:5]", "train")
    [version] = empty.glob("alpaca/*/0.0.0")
    for path in version.iterdir():
        remove(path)
    begun = os.open(version, os.O_RDONLY)
    load_mixture("alpaca_en[:5]", "train")
    assert os.path.samestat(os.fstat(begun), version.stat())
    os.close(begun)


def test_a_digest_is_remembered_for_the_very_file_alone(empty, tmp_path):
    old = SAMPLE / "alpaca" / "alpaca_en.json"
    assert cache.sha256(old) == sha256(old)
    [note] = (empty / "xllm" / "digests").glob("*.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"sha256": "remembered"}))
    assert cache.sha256(old) == "remembered"

    new = tmp_path / "file"  # same size, same time of change as far as the writer can set it
    new.write_text("one")
    os.utime(new, (0, 0))
    before = cache.sha256(new)
    new.write_text("two")
    os.utime(new, (0, 0))
    assert cache.sha256(new) == sha256(new) != before


def test_draws_from_many_rows_hold_each_row_once():
    from xllm.mixture.draw import ranks, sample

    drawn = sample(100_000, 30_000, 7, "a")
    assert len(np.unique(drawn)) == 30_000 and (np.diff(drawn) > 0).all()
    order = ranks(100_000, 7, "a")
    assert order[drawn].max() == np.sort(order)[29_999]


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_DATASETS_CACHE"])
@pytest.mark.parametrize(
    "command", [["mixture", "alpaca_en[:5]"], ["infer", "MODEL", "xquad_en"], ["plan", "MODEL", "alpaca_en"]]
)
def test_a_cache_that_can_t_be_written_is_named(llama, cli, sample, tmp_path, monkeypatch, variable, command):
    (tmp_path / "file").touch()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "file" / "cache")
    monkeypatch.delenv("HF_DATASETS_CACHE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    outcome = cli(*[llama if word == "MODEL" else word for word in command])
    said = f"xllm: cannot write to the cache {tmp_path / 'file' / 'cache'}: Not a directory; set {variable} to a folder"
    assert outcome.code == 2 and outcome.err.startswith(said) and not outcome.out


FULL = """
import datasets

class Full(datasets.GeneratorBasedBuilder):
    def _info(self):
        return datasets.DatasetInfo(
            features=datasets.Features({c: datasets.Value("string") for c in ("id", "instruction", "input", "output")})
        )

    def _split_generators(self, downloads):
        return [datasets.SplitGenerator(name="train")]

    def _generate_examples(self):
        yield 0, {"id": "0", "instruction": "a", "input": "", "output": "b"}
        raise RAISED
"""


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("OSError(28, 'No space left on device')", "cannot write to the cache"),
        ("OSError(28, 'No space left on device', CACHE + '/datasets/x')", "cannot write to the cache"),
        ("OSError(28, 'No space left on device', '/elsewhere')", "full.py failed: OSError: [Errno 28]"),
        ("PermissionError(13, 'Permission denied', '/elsewhere')", "full.py failed: PermissionError"),
    ],
)
def test_a_disk_that_fills_is_the_cache_s_not_the_script_s(empty, root, cli, raised, said):
    (root / "full").mkdir()
    (root / "full" / "full.py").write_text(f"CACHE = {str(empty)!r}\n" + FULL.replace("RAISED", raised))
    outcome = cli("mixture", "full_en", "--split", "train")
    assert outcome.code == 2 and said in outcome.err.splitlines()[-1] and "Traceback" not in outcome.err
