"""Tiny models of every family that transformers has a causal language model of."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

LARGEST = 10**7  # weights of a family whose sizes have names of their own, beyond which it is no tiny one
WIDE = (
    "hidden_size",
    "n_embd",
    "d_model",
    "dim",
    "embedding_size",
    "lru_width",
    "attention_hidden_size",
    "word_embed_proj_dim",
)
DEEP = ("num_hidden_layers", "n_layer", "n_layers", "decoder_layers", "encoder_layers", "num_decoder_layers")
HEADS = (
    "num_attention_heads",
    "n_head",
    "n_heads",
    "decoder_attention_heads",
    "encoder_attention_heads",
    "mamba_n_heads",
)
INNER = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "decoder_ffn_dim", "encoder_ffn_dim")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
LONG = ("max_position_embeddings", "n_positions", "max_seq_len", "context_length", "n_ctx")
NONE = ("attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "hidden_dropout", "dropout")
SIZES: dict[str, Any] = (
    dict.fromkeys(WIDE, 32) | dict.fromkeys(DEEP, 2) | dict.fromkeys(HEADS, 4) | dict.fromkeys(INNER, 48)
    | dict.fromkeys(EXPERTS, 4) | dict.fromkeys(LONG, 64) | dict.fromkeys(NONE, 0.0)
    | {
        "vocab_size": 97, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "is_decoder": True,
        "num_key_value_heads": 2, "head_dim": 8, "kv_channels": 8, "sliding_window": 9, "attention_window_size": 8,
        "num_experts_per_tok": 2, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24,
        "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "output_router_logits": True,
        "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
        "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 97,
        "state_size": 8, "n_groups": 1, "conv_kernel": 4, "time_step_rank": 4, "mamba_d_state": 8,
        "mamba_d_head": 16, "mamba_n_groups": 1, "linear_num_value_heads": 4, "linear_num_key_heads": 2,
        "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    }
)  # fmt: skip
MADE = ("layer_types", "mlp_layer_types", "layers_block_type")  # lists with an entry a layer
OWN: dict[str, dict[str, Any]] = {  # of families for which these aren't enough
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_conv": 4},
    "lfm2": {"full_attn_idxs": [1], "layer_types": ["conv", "full_attention"]},
    "mamba2": {"num_heads": 4, "head_dim": 16},
    "xlstm": {"num_heads": 4},
    "bamba": {"attn_layer_indices": [1]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "reformer": {"axial_pos_embds_dim": [16, 16], "axial_pos_shape": [8, 8]},
    "xmod": {"default_language": "en_XX", "languages": ["en_XX"]},
    "zaya": {"num_experts_per_tok": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "window_size": 9, "num_heads": 4},
    "gptj": {"rotary_dim": 4},
    "codegen": {"rotary_dim": 4},
}
KINDS = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny(kind: str, **own: Any) -> Any:
    """A configuration of a family with a few thousand weights."""
    made = CONFIG_MAPPING[kind]
    base = made()
    sizes = {name: value for name, value in SIZES.items() if _settable(made, base, name)}
    for name in MADE:
        types = getattr(base, name, None) if _settable(made, base, name) else None
        if isinstance(types, list):  # a layer of each type
            kinds = list(dict.fromkeys(types))
            sizes[name] = kinds if len(kinds) > 1 else types[:2]
            sizes |= {depth: len(sizes[name]) for depth in DEEP if depth in sizes}
    if "kv_lora_rank" in sizes:  # each head has keys of its own
        sizes["num_key_value_heads"] = sizes["num_attention_heads"]
    return made(**sizes | OWN.get(kind, {}) | own)


def _settable(made: Any, base: Any, name: str) -> bool:
    try:
        meant = made.attribute_map.get(name, name)
        return hasattr(base, name) and not isinstance(getattr(made, meant, None), property)
    except Exception:  # what some say of settings that differ by layer
        return False


def model_of(config: Any, seed: int = 0, scale: float = 1.0) -> PreTrainedModel:
    """A model with random weights; those of matrices `scale` times as large as at the start of training."""
    with torch.device("meta"):
        size = AutoModelForCausalLM.from_config(config).num_parameters()
    assert size < LARGEST, f"a {config.model_type} model of {size} weights"
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(scale)
    return model
