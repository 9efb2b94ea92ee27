"""Bases of other families than LLaMA: what can be tuned is, and what can't is refused before anything is prepared."""

import pytest
import torch
from transformers import AutoTokenizer, BartConfig, BertConfig, Gemma3Config, Gemma3ForConditionalGeneration, T5Config

from tests.families import model_of, tiny
from xllm.errors import XllmError
from xllm.models.load import load_model

MIXTURE = "alpaca_en[:8]"


def save(model_or_config, folder, llama):
    """A base with LLaMA's tokenizer."""
    model_or_config.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(llama)
    tokenizer.save_pretrained(folder)
    return folder


def own(kind, llama, folder):
    words = len(AutoTokenizer.from_pretrained(llama))
    ids = {"vocab_size": words, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    longer = {name: 640 for name in ("max_position_embeddings", "context_length") if hasattr(tiny(kind), name)}
    return save(model_of(tiny(kind, **ids, **longer)), folder, llama)


@pytest.mark.parametrize("config", [T5Config(), BartConfig(), BertConfig()], ids=lambda config: config.model_type)
@pytest.mark.parametrize("words", [("plan",), ("train",), ("train", "--prepare_only"), ("infer",), ("perplexity",)])
def test_what_is_no_causal_language_model_is_refused_at_once(cli, llama, sample, tmp_path, config, words):
    """By its configuration: there are no weights."""
    base = save(config, tmp_path / "base", llama)
    (base / "model.safetensors").touch()
    outcome = cli(words[0], base, MIXTURE, *words[1:])
    assert outcome.code == 2 and f"a {config.model_type} model is not a causal language model: " in outcome.err
    assert "rows" not in outcome.err and len(outcome.err.splitlines()) == 1


def test_of_a_model_that_sees_the_text_part_is_read(llama, tmp_path):
    """As it lies in the folder of the whole; its own configuration alone would begin with random weights."""
    text = tiny("gemma3_text").to_dict()
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = Gemma3Config(
        text_config=text, vision_config=vision | {"image_size": 28, "patch_size": 14}, image_token_index=96
    )
    torch.manual_seed(0)
    whole = Gemma3ForConditionalGeneration(config).eval()
    whole.save_pretrained(tmp_path)
    model, ids = load_model(str(tmp_path), torch.float32), torch.arange(3, 12)[None]
    assert type(model).__name__ == "Gemma3ForCausalLM"
    assert torch.equal(model(ids).logits, whole(input_ids=ids, attention_mask=torch.ones_like(ids)).logits)


def test_weights_that_are_lacking_are_not_made_up(tmp_path):
    model = model_of(tiny("llama"))
    state = {name: weight for name, weight in model.state_dict().items() if "layers.1.mlp.up_proj" not in name}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(XllmError, match=r"lack model\.layers\.1\.mlp\.up_proj\.weight$"):
        load_model(str(tmp_path), torch.float32)


TUNED = (
    "mamba", "mamba2", "falcon_mamba", "rwkv", "jamba", "bamba", "recurrent_gemma", "llama4_text", "qwen3_next", "lfm2",
    "minimax", "gpt_oss", "mixtral", "bloom",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", TUNED)
def test_a_family_is_planned_tuned_and_answers(cli, llama, sample, tmp_path, kind):
    base = own(kind, llama, tmp_path / kind)
    assert (outcome := cli("plan", base, MIXTURE)).code == 0, outcome.err
    outcome = cli("train", base, MIXTURE, "--output_dir", tmp_path / "tuned", "--max_steps", 1)
    assert outcome.code == 0, outcome.err
    outcome = cli("infer", tmp_path / "tuned", "xquad_en[:2]", "--max_new_tokens", 3)
    assert outcome.code == 0, outcome.err
