"""A model in lm-evaluation-harness, by the documentation's own words."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import HOME
from xllm.artifacts import scores
from xllm.files import read_jsonl

pytest.importorskip("lm_eval", reason="needs lm-eval, of the extra test")


@pytest.mark.slow
def test_the_documented_task_gives_the_accuracy_of_scored_labels(cli, sample, llama, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(llama, model)
    assert cli("infer", model, "xcopa_zh", "--labels", "score", "--evaluate").code == 0
    answers = model / "test" / "xcopa_zh.inference.jsonl"
    page = (HOME / "docs" / "evaluation.md").read_text()
    [task] = re.findall(r"```yaml\n(# tasks/xcopa.yaml.*?)```", page, re.DOTALL)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "xcopa.yaml").write_text(task.replace("ANSWERS", str(answers)))
    [command] = re.findall(r"^lm_eval run .*$", page, re.MULTILINE)
    words = shlex.split(command.replace("MODEL", str(model)))[1:]
    done = subprocess.run(
        [sys.executable, "-m", "lm_eval", *words, "--device", "cpu", "--output_path", "found", "--log_samples"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    [path] = tmp_path.glob("found/**/results_*.json")
    theirs = json.loads(path.read_text())["results"]["xcopa_alpaca"]["acc,none"]
    [scored] = scores.read(answers.with_name("xcopa_zh.metrics.json"))[1]
    assert 100 * theirs == pytest.approx(scored.scores[0].value)
    [path] = tmp_path.glob("found/**/samples_*.jsonl")
    ours = {row["id"]: row["label_scores"] for row in read_jsonl(answers)}
    for sample_row in read_jsonl(path):
        own = ours[sample_row["doc"]["id"]]
        likely = [float(found[0]) for found in sample_row["filtered_resps"]]
        assert likely == pytest.approx([own[label]["sum"] for label in sample_row["doc"]["labels"]], abs=1e-3)
