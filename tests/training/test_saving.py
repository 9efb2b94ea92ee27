"""What the end of a run needs is tried before its first step, and what it saves is what training had."""

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    DeepseekV3Config,
    GenerationConfig,
    GptOssConfig,
)

FLAGS = ("--max_steps", "1", "--global_batch_size", "4", "--bf16", "True")
# each of them can be read, and none could be written back by transformers
SETTINGS = {
    "top_k": 50,
    "early_stopping": True,
    "length_penalty": 0.8,
    "min_p": 0.1,
    "typical_p": 0.9,
    "temperature": 0.0,
    "top_p": 0.8,
    "do_sample": False,
    "output_scores": True,
    "pad_token_id": -1,
    "_from_model_config": True,
    "nobody_knows_it": {"deep": [1, None]},
    "transformers_version": "4.27.0",
}


@pytest.fixture
def train(cli, sample, tmp_path):
    """Train a base for a step: the outcome, and the folder of the new model."""

    def run(base, *flags):
        outcome = cli("train", base, "alpaca_en[:4]", "--output_dir", tmp_path / "out", *FLAGS, *flags)
        assert not list(tmp_path.glob(".*"))
        return outcome, tmp_path / "out"

    return run


def change(base: Path, name: str, **facts) -> None:
    path = base / name
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | facts))


def test_settings_that_could_be_read_are_kept_as_they_were(train, llama, tmp_path):
    base = shutil.copytree(llama, tmp_path / "base")
    change(base, "generation_config.json", **SETTINGS, eos_token_id=[5, 9])
    change(base, "config.json", eos_token_id=[5], temperature=0.3)
    (base / "LICENSES").mkdir()  # of which no copy and no text is to be had
    (base / "other.model").mkdir()
    outcome, out = train(base)
    assert outcome.code == 0
    tokenizer, saved = AutoTokenizer.from_pretrained(out), json.loads((out / "generation_config.json").read_text())
    own = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": [tokenizer.eos_token_id, 5, 9]}
    before = json.loads((base / "generation_config.json").read_text())
    assert saved == before | own and saved["pad_token_id"] == -1
    assert GenerationConfig.from_pretrained(out).typical_p == 0.9
    config = AutoConfig.from_pretrained(out)
    assert config.eos_token_id == [tokenizer.eos_token_id, 5] and config.bos_token_id == tokenizer.bos_token_id


def test_a_base_without_generation_config_gets_one_of_its_configuration(train, llama, tmp_path):
    base = shutil.copytree(llama, tmp_path / "base")
    (base / "generation_config.json").unlink()
    change(base, "config.json", temperature=0.3, eos_token_id=7)
    assert train(base)[0].code == 0
    settings = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert settings["eos_token_id"] == [2, 7] and settings["temperature"] == 0.3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("generation_config.json", '{"max_new_tokens": -1}', "cannot read the generation_config.json of"),
        ("generation_config.json", "{oops", "generation_config.json, line 1"),
        ("generation_config.json", "[1]", "cannot read the generation_config.json of"),
        ("run.json", "{oops", "run.json, line 1"),
        ("config.json", {"eos_token_id": "x"}, "cannot read the config of"),
        ("config.json", {"hidden_act": "nope"}, "names 'nope'"),
    ],
)
def test_what_the_end_could_not_read_ends_the_run_before_it_begins(train, llama, tmp_path, name, text, message):
    base = shutil.copytree(llama, tmp_path / "base")
    if isinstance(text, dict):
        change(base, name, **text)
    else:
        (base / name).write_text(text)
    for more in ([], ["--prepare_only"]):
        outcome, out = train(base, *more)
        [line] = [line for line in outcome.err.splitlines() if line.startswith("xllm: ")]
        assert outcome.code == 2 and message in line and not out.exists() and "Loading weights" not in outcome.err


def test_a_folder_that_can_not_be_written_or_is_too_small(cli, sample, train, llama, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    outcome = cli("train", llama, "alpaca_en[:4]", "--output_dir", tmp_path / "file" / "out", *FLAGS)
    assert outcome.code == 2 and "could not be written at the end of the run" in outcome.err

    count = AutoModelForCausalLM.from_pretrained(llama).num_parameters()
    for free, flags in ((2 * count, []), (24 * count, ["--save_steps", "1"])):
        for less, code in ((1, 2), (0, 0)):
            usage = namedtuple("usage", "free")(free - less)
            monkeypatch.setattr("shutil.disk_usage", lambda path, usage=usage: usage)
            outcome, out = train(llama, "--prepare_only", *flags)
            assert outcome.code == code and ("GiB left; make room" in outcome.err) == bool(less) and not out.exists()


SIZE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
RANKS = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}
EXPERTS = {"n_routed_experts": 8, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1, "moe_intermediate_size": 16}
FAMILIES = {
    "a bias of the router": (
        DeepseekV3Config(**SIZE, **RANKS, **EXPERTS, num_key_value_heads=4, first_k_dense_replace=1),
        {"model.layers.1.mlp.gate.e_score_correction_bias"},
    ),
    "norms": (
        GptOssConfig(**SIZE, num_key_value_heads=2, head_dim=8, num_local_experts=4, num_experts_per_tok=2),
        {f"model.layers.{layer}.{name}_layernorm.weight" for layer in (0, 1) for name in ("input", "post_attention")}
        | {"model.norm.weight"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_family_keeps_in_float32_stays_so(train, llama, tmp_path, family):
    config, kept = FAMILIES[family]
    tokenizer, base = AutoTokenizer.from_pretrained(llama), tmp_path / "base"
    config.update({"vocab_size": len(tokenizer), "bos_token_id": None, "eos_token_id": None, "pad_token_id": None})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for name, buffer in model.named_buffers():
        if name in kept:
            buffer.copy_(torch.randn_like(buffer))
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    outcome, out = train(base)
    assert outcome.code == 0
    before, saved = load_file(base / "model.safetensors"), load_file(out / "model.safetensors")
    assert before.keys() == saved.keys() and {name for name in saved if saved[name].dtype == torch.float32} == kept
    assert {saved[name].dtype for name in saved.keys() - kept} == {torch.bfloat16}
    assert all(torch.equal(saved[name], before[name]) for name in kept if name.endswith("bias"))
    again = AutoModelForCausalLM.from_pretrained(out)
    assert AutoConfig.from_pretrained(out).dtype == again.dtype == torch.bfloat16
    for name, weight in again.state_dict().items():
        assert name not in saved or torch.equal(weight, saved[name].to(weight.dtype)), name
    assert again.config.eos_token_id == again.generation_config.eos_token_id == tokenizer.eos_token_id
