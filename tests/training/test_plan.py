"""Telling what a run takes, without weights."""

import json
import subprocess
import sys

import pytest
from transformers import BloomConfig, LlamaConfig

from xllm.training import memory

WORDS = ("plan", "alpaca_en+alpaca_zh[:30]")


@pytest.fixture
def plan(cli, llama, sample):
    return lambda *flags: cli("plan", llama, "alpaca_en+alpaca_zh[:30]", *flags)


def test_tells_steps_tokens_memory_and_hours(plan, tmp_path):
    outcome = plan("--gpus", 2, "--gpu_memory", "0.5", "--json", tmp_path / "plan.json", "--global_batch_size", 32)
    report = json.loads((tmp_path / "plan.json").read_text())
    assert outcome.code == 0 and report["rows"] == 120 and report["steps"] == 3 * 4
    assert 0 < report["targets"] < report["tokens"] and 0.05 < report["padding_saved"] < 0.6
    ways = {way["way"]: way for way in report["memory"]}
    assert ways["FSDP"]["adam"] == 4 * report["parameters"]  # two moments of four bytes, shared by two
    assert ways["both"]["adam"] == 0 and ways["both"]["total"] < ways["FSDP"]["total"]
    assert [line.split()[-1] for line in outcome.out.splitlines()[-4:]] == ["yes"] * 4
    assert plan("--gpu_memory", "0.05").out.splitlines()[-4].split()[-1] == "no"


def test_hours_follow_from_the_operations(plan, tmp_path):
    found = []
    for mfu in ("0.25", "0.5"):
        plan("--mfu", mfu, "--gpu_tflops", 100, "--json", tmp_path / "plan.json")
        found.append(json.loads((tmp_path / "plan.json").read_text()))
    assert found[0]["gpu_hours"] == pytest.approx(2 * found[1]["gpu_hours"])
    assert found[1]["gpu_hours"] == pytest.approx(found[1]["operations"] / 50e12 / 3600)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--gpus", "0"], "--gpus 0: it must be a whole number, 1 or more"),
        (["--gpu_memory", "much"], "--gpu_memory much: it must be a number above 0"),
        (["--mfu", "40"], "--mfu 40: it must be a number above 0, 1 at most"),
        (["--template", "x"], "'x'"),
    ],
)
def test_mistakes_are_one_line(plan, flags, message):
    outcome = plan(*flags)
    assert outcome.code == 2 and message in outcome.err and not outcome.out


CONFIG = {"vocab_size": 8000, "hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8}
MEASURE = """
import sys, threading, time, numpy as np, torch
from transformers import AutoModelForCausalLM, LlamaConfig
from xllm.packing.packed import make_losses
from xllm.packing.collate import packed_batch

def anonymous():
    return sum(1024 * int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("RssAnon"))

peak, going = 0, True
def watch():
    global peak
    while going:
        peak = max(peak, anonymous())
        time.sleep(0.001)

config = LlamaConfig(**CONFIG)
small = AutoModelForCausalLM.from_config(LlamaConfig(**(CONFIG | {"num_hidden_layers": 1, "vocab_size": 100})))
def steps(model):
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    # the worst moment is in the last micro-batch: the optimizer's state and a sum of gradients are there by then
    for lengths in ((16, 16), (16, 256)):
        for length in lengths:
            rows = [np.random.randint(0, 100, length) for _ in range(8)]
            model(**packed_batch(rows, np.full(8, length // 2)))[0].backward()
        optimizer.step()
        optimizer.zero_grad()
assert make_losses(small, 64)
rows = [np.random.randint(0, 100, 16)]
small(**packed_batch(rows, np.array([3])))[0].backward()  # what any run needs: kernels, threads
del small
before = anonymous()
model = AutoModelForCausalLM.from_config(config)
assert make_losses(model, 64)
threading.Thread(target=watch, daemon=True).start()
steps(model)
going = False
print(peak - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("heads", [8, 2])
def test_the_estimate_is_within_15_percent_of_what_is_measured(heads):
    config = CONFIG | {"num_key_value_heads": heads}
    code = MEASURE.replace("CONFIG", repr(config))
    measured = int(subprocess.check_output([sys.executable, "-c", code], text=True).split()[-1])
    told = memory.estimate(LlamaConfig(**config), 2048, 1, bf16=False, device="cpu").total
    assert told == pytest.approx(measured, rel=0.15)


def test_models_without_replaceable_attention_are_told_too():
    config = BloomConfig(vocab_size=100, hidden_size=32, n_layer=2, n_head=4)
    assert memory.estimate(config, 512, 1, bf16=False).activations > 0
