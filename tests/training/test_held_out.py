"""Loss and scores while a model is tuned."""

import json

import pandas
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from xllm.artifacts import scores
from xllm.mixture.load import load_mixture
from xllm.templates import alpaca

MIXTURE = "alpaca_en[:10]+translation_daily_en-zh[:10]"
FLAGS = ("--global_batch_size", "8", "--max_steps", "5", "--learning_rate", "1e-2")
HELD = (
    "--eval_mixture",
    "translation_daily_en-zh[:20]",
    "--dev",
    "translation_daily_en-zh[:4]",
    "--eval_steps",
    "2",
)


def evaluations(folder):
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [entry for entry in log if "eval_loss" in entry]


@pytest.mark.slow
def test_the_log_is_one_table_in_pandas(tuned):
    for folder, columns in zip(tuned, (set(), {"eval_loss", "translation_daily_en-zh BLEU"}), strict=True):
        table = pandas.read_json(folder / "log.jsonl", lines=True)
        assert list(table.step) == [1, 2, 3, 4, 5] and columns <= set(table.columns)
        assert not {name for name in table.columns if name.startswith("train_")}
        assert table.step.dtype == "int64" and table.loss.notna().all()
        assert all(map(pandas.api.types.is_numeric_dtype, table.dtypes))
        summary = json.loads((folder / "train_results.json").read_text())
        assert summary["train_runtime"] > 0 and "train_samples_per_second" in summary
    assert list(table.step[table.eval_loss.notna()]) == [2, 4, 5]


@pytest.mark.slow
def test_a_line_has_the_mean_of_the_steps_since_the_last_one(cli, llama, sample, tmp_path):
    """However the steps of the log, of evaluations and of checkpoints lie to one another; the last step has a line."""
    every: list[float] = []
    for name, flags in (
        ("one", ()),
        ("two", ("--logging_steps", "2", "--save_steps", "2", *HELD[:2], "--eval_steps", "3")),
    ):
        assert cli("train", llama, MIXTURE, "--output_dir", tmp_path / name, *FLAGS, *flags).code == 0
        log = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        losses = {entry["step"]: entry["loss"] for entry in log if "loss" in entry}
        every = every or list(losses.values())
    assert [entry["step"] for entry in log if "eval_loss" in entry] == [3, 5]
    assert losses == pytest.approx({2: sum(every[:2]) / 2, 4: sum(every[2:4]) / 2, 5: every[4]}, rel=1e-6)


@pytest.fixture
def tuned(cli, llama, sample, tmp_path):
    """Tuned without looking, and with: the folders."""
    folders = []
    for name, flags in (("blind", ()), ("seen", HELD)):
        folders.append(tmp_path / name)
        assert cli("train", llama, MIXTURE, "--output_dir", folders[-1], *FLAGS, *flags).code == 0
    return folders


@pytest.mark.slow
def test_the_loss_is_that_of_the_tuned_model_and_looking_changes_nothing(tuned, cli, sample):
    blind, seen = tuned
    assert (blind / "model.safetensors").read_bytes() == (seen / "model.safetensors").read_bytes()
    found = evaluations(seen)
    assert [entry["step"] for entry in found] == [2, 4, 5]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(seen), AutoTokenizer.from_pretrained(seen)
    total = count = 0
    for row in load_mixture("translation_daily_en-zh[:20]", "validation"):
        prompt = alpaca(row["instruction"], row["input"])
        ids = [*tokenizer(prompt + row["output"]).input_ids, tokenizer.eos_token_id]
        start = len(tokenizer(prompt).input_ids)
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, start - 1 : -1]
        total += torch.nn.functional.cross_entropy(logits, torch.tensor(ids[start:]), reduction="sum").item()
        count += len(ids) - start
    assert found[-1]["eval_loss"] == pytest.approx(total / count, rel=1e-5)

    flags = ("--split", "validation", "--max_new_tokens", "128")
    assert cli("infer", seen, "translation_daily_en-zh[:4]", *flags).code == 0
    cli("evaluate", seen)
    [path] = (seen / "test").glob("*.metrics.json")
    [scored] = scores.read(path)[1]
    assert {score.metric for score in scored.scores} == {"BLEU", "chrF++"}
    for score in scored.scores:
        assert found[-1][f"translation_daily_en-zh {score.metric}"] == pytest.approx(score.value, abs=0.01)


@pytest.mark.slow
def test_sharded_models_are_held_to_the_same(tuned, llama, torchrun, tmp_path):
    _, seen = tuned
    folder = tmp_path / "sharded"
    torchrun("-m", "xllm", "train", llama, MIXTURE, "--output_dir", folder, *FLAGS, *HELD)
    for one, other in zip(evaluations(seen), evaluations(folder), strict=True):
        assert other["eval_loss"] == pytest.approx(one["eval_loss"], rel=1e-4)
    weights = load_file(folder / "model.safetensors")
    for name, tensor in load_file(seen / "model.safetensors").items():
        assert torch.linalg.norm(tensor - weights[name]) <= 1e-4 * torch.linalg.norm(tensor), name
