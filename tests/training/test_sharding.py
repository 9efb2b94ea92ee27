"""FSDP2 on two CPU processes: what is sharded, in which precision, and what is saved of it."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BloomConfig,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from xllm.training.sharding import layers

pytestmark = pytest.mark.slow

SIZE = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
WIDE = SIZE | {"intermediate_size": 32, "num_key_value_heads": 1, "head_dim": 8}


@pytest.mark.parametrize(
    ("config", "layer"),
    [
        (LlamaConfig(**WIDE), "LlamaDecoderLayer"),
        (Qwen2Config(**{name: value for name, value in WIDE.items() if name != "head_dim"}), "Qwen2DecoderLayer"),
        (Qwen3Config(**WIDE), "Qwen3DecoderLayer"),
        (GemmaConfig(**WIDE), "GemmaDecoderLayer"),
        (Gemma3TextConfig(**WIDE), "Gemma3DecoderLayer"),
        (MistralConfig(**WIDE), "MistralDecoderLayer"),
        (BloomConfig(**SIZE), "BloomBlock"),
    ],
)
def test_the_layers_of_a_family_are_found(config, layer):
    with torch.device("meta"):
        found = layers(AutoModelForCausalLM.from_config(config))
    assert [type(module).__name__ for module in found] == [layer] * 3


CHECK = """
import sys, torch, torch.distributed as dist
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM
from xllm.__main__ import leave
from xllm.packing.packed import make_losses
from xllm.packing.collate import packed_batch
from xllm.training.sharding import shard, whole_weights
import numpy as np

dist.init_process_group("gloo")
model = AutoModelForCausalLM.from_pretrained("MODEL", dtype=torch.float32)
before = {name: weight.clone() for name, weight in model.state_dict().items()}
assert make_losses(model, 64)
shard(model, bf16=True, group=GROUP)
seen = []
model.model.layers[0].mlp.up_proj.register_forward_hook(lambda m, i, o: seen.extend([m.weight.dtype, o.dtype]))
total, _ = model(**packed_batch([np.arange(3, 40), np.arange(5, 9)], np.array([4, 2])))
total.backward()
assert seen == [torch.bfloat16] * 2, seen
for name, weight in model.named_parameters():
    assert isinstance(weight, DTensor) and weight.dtype == weight.grad.dtype == torch.float32, name
    assert weight.to_local().numel() < weight.numel() or weight.numel() < 2 or GROUP == 1, name
saved = whole_weights(model, torch.float32, keep=dist.get_rank() == 1)
assert set(saved) == (set(before) if dist.get_rank() == 1 else set())
assert all(torch.equal(weight, before[name]) for name, weight in saved.items())
print("checked")
leave(0)
"""


@pytest.mark.parametrize("group", [2, 1])
def test_weights_are_sharded_in_float32_and_compute_in_bf16(llama, torchrun, tmp_path, group):
    (tmp_path / "check.py").write_text(CHECK.replace("MODEL", str(llama)).replace("GROUP", str(group)))
    assert torchrun(tmp_path / "check.py").count("checked") == 2


def test_ways_of_sharding_do_not_change_the_trajectory(llama, cli, torchrun, sample, tmp_path):
    flags = [
        "--max_steps",
        "3",
        "--global_batch_size",
        "10",
        "--learning_rate",
        "1e-3",
        "--tokens_per_micro_batch",
        "400",
    ]
    words = ["train", str(llama), "alpaca_en[:24]", "--output_dir"]
    assert cli(*words, tmp_path / "one", *flags).code == 0
    ways = {
        "sharded, with too few rows for all": [],
        "replicated": ["--hsdp_group", "1"],
        "checkpointed": ["--gradient_checkpointing", "True"],
    }
    expected = load_file(tmp_path / "one" / "model.safetensors")
    for name, more in ways.items():
        folder = tmp_path / name.split()[0]
        torchrun("-m", "xllm", *words, folder, *flags, *more)
        weights = load_file(folder / "model.safetensors")
        assert weights.keys() == expected.keys() and not list(folder.glob("*-of-*"))
        assert AutoConfig.from_pretrained(folder).model_type == "llama"
        assert json.loads((folder / "run.json").read_text())["processes"] == 2
        for key, tensor in expected.items():
            assert torch.linalg.norm(tensor - weights[key]) <= 1e-5 * torch.linalg.norm(tensor), (name, key)
