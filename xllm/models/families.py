"""Which models are causal language models, told from their configuration, and the text part of those that see or hear,
too."""

from typing import Any

from xllm.errors import XllmError

# encoders, which see what comes after a token, unless their configuration says `is_decoder`
ENCODERS = frozenset(
    {
        "bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert",
        "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm-roberta", "xlm-roberta-xl", "xmod",
    }
)  # fmt: skip
SEES_AHEAD = "it sees the tokens that it is to foretell"
REFUSED = {
    "cpmant": SEES_AHEAD,
    "reformer": "its attention goes by random hashes",
    "trocr": "it writes what an image shows",
    "xlm": SEES_AHEAD,
    "xlnet": "it foretells the tokens of a text in other orders",
}
# where models of several kinds of input keep the weights of their text part, and where that keeps them alone
TEXT_PART = {
    r"^language_model\.model\.": "model.",
    r"^language_model\.lm_head\.": "lm_head.",
    r"^model\.language_model\.": "model.",
}


def check_causal(config: Any) -> None:
    """Raise XllmError for a configuration that isn't a causal language model's, or its text part's."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    kind, reason = config.model_type, REFUSED.get(config.model_type)
    if getattr(config, "is_encoder_decoder", False):
        reason = "it is made of an encoder and a decoder"
    elif kind in ENCODERS and not config.is_decoder:
        reason = "it is an encoder, which sees the tokens after each"
    elif type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        reason = "transformers has no such class of it"
    if reason is not None:
        raise XllmError(f"a {kind} model is not a causal language model: {reason}")
