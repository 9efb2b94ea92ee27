"""What a run says of itself."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from xllm.errors import XllmError
from xllm.training.flops import costs, matrix_rate
from xllm.training.monitor import Watch


@pytest.fixture
def tune(cli, llama, tmp_path, sample):
    def run(*flags, mixture="alpaca_en[:16]+alpaca_zh[:8]", model=llama):
        words = ("train", model, mixture, "--output_dir", tmp_path / "out", "--global_batch_size", 8, *flags)
        return cli(*words), tmp_path / "out"

    return run


@pytest.mark.slow
def test_each_logged_step_says_how_fast_and_how_full(tune):
    _, folder = tune("--num_train_epochs", 2)
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps = [entry for entry in log if "loss" in entry]
    assert [entry["step"] for entry in steps] == list(range(1, 7))
    for entry in steps:
        assert entry["tokens_per_second"] > entry["target_tokens_per_second"] > 0
        assert entry["padding"] == 0 and 0 < entry["mfu"] < 1 and entry["grad_norm"] > 0
    assert steps[0]["seconds_left"] > 0 and steps[-1]["seconds_left"] == 0


@pytest.mark.slow
def test_a_model_comes_with_a_card_and_a_plot(tune, cli):
    _, folder = tune("--max_steps", 2)
    card = (folder / "README.md").read_text()
    for said in ("# out", "| alpaca_en | en         | 16 ", "| rows a step ", "- zh", "python -m xllm train"):
        assert said in card, card
    assert "## Scores" not in card and (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert cli("infer", folder, "xquad_en[:2]", "--max_new_tokens", 4).code == 0
    assert cli("evaluate", folder).code == 0
    assert "| xquad_en  | f1" in (folder / "README.md").read_text()


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_rows(tune, llama, tmp_path):
    import shutil

    folder = shutil.copytree(llama, tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] = math.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    outcome, folder = tune("--tokens_per_micro_batch", 1024, model=folder, mixture="alpaca_en[:2]+alpaca_zh[:2]")
    assert outcome.code == 2 and not folder.exists() and "Traceback" not in outcome.err
    [said] = [line for line in outcome.err.splitlines() if "xllm: " in line]
    assert "the loss isn't finite at alpaca_" in said and "and 1 more rows" in said


@pytest.mark.slow
def test_a_gradient_that_is_not_finite_stops_the_run(tune):
    outcome, _ = tune("--learning_rate", "1e30", "--warmup_steps", "0", "--max_steps", "9")
    assert outcome.code == 2 and "isn't finite at" in outcome.err


def test_a_spike_is_told_with_its_rows(llama, tmp_path, capsys):
    from transformers import AutoModelForCausalLM

    watch = Watch(tmp_path, AutoModelForCausalLM.from_pretrained(llama), 1e12, 1)
    capsys.readouterr()
    for step in range(20):
        watch.begin({"targets": 1, "tokens": 1, "squares": 1, "padded": 1})
        watch.rows(["alpaca_en/1", "alpaca_en/2", "alpaca_zh/7"], torch.tensor([1.0, 2.0, 30.0 if step == 15 else 1.5]))
        watch.spike(step, 9.0 if step == 15 else 2.0 + 0.1 * (step % 3))
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("step 15: the loss 9.000 is far above 2.100 ± 0.08") and "; alpaca_zh/7 (30.0), " in line
    with pytest.raises(XllmError, match="isn.t finite at alpaca_en/2, alpaca_zh/7, alpaca_en/1"):
        watch.gradient(torch.tensor(math.inf))


def test_the_operations_are_those_of_the_matrices(llama):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(llama)
    hidden, inner, heads, words = 32, 64, 4, model.config.vocab_size
    layer = hidden * hidden * 2 + hidden * hidden // 2 * 2 + 3 * hidden * inner
    assert costs(model) == {"tokens": 6 * 2 * layer, "targets": 6 * hidden * words, "squares": 6 * 8 * heads * 2}


@pytest.mark.slow
def test_a_model_whose_layers_are_not_linear_modules_is_counted_too():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=50, n_positions=64, n_embd=16, n_layer=2, n_head=2)
    model = GPT2LMHeadModel(config)
    assert costs(model)["tokens"] == 6 * 2 * (16 * 48 + 16 * 16 + 2 * 16 * 64)
    assert matrix_rate(model, 32, torch.float32, torch.device("cpu")) > 0
