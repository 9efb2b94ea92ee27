"""The loss of every family of causal language models is the model's own, with or without padding."""

import numpy as np
import pytest
import torch
from transformers import Phi3Config

from tests.families import KINDS, model_of, tiny
from xllm.errors import XllmError
from xllm.packing.collate import packed_batch, padded_batch
from xllm.packing.lengths import edge, probe
from xllm.packing.packed import make_losses
from xllm.packing.structure import only_attention_mixes

LENGTHS, PROMPTS = [23, 5, 31, 2], [4, 3, 20, 1]
# whose own loss is another, or that see what they are to foretell; encoders and the like need to be told to be decoders
REFUSED = {
    "bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "cpmant", "marian", "mbart", "mvp", "pegasus",
    "plbart", "prophetnet", "trocr", "whisper", "xlm", "xlnet",
}  # fmt: skip
# made of other models, too large to be tiny, with sizes that go together in ways of their own, or random (reformer)
UNTRIED = {
    "blt", "cohere_compass_text", "dbrx", "dots1", "dots3_note", "dots3_note_text", "emu3", "falcon_h1", "flint",
    "fuyu", "gemma3", "gemma3n", "gemma4", "gemma4_assistant", "gemma4_unified", "gemma4_unified_assistant", "git",
    "got_ocr2", "kimi_linear", "llama4", "longcat_flash", "mllama", "moss_transcribe_diarize", "musicgen", "musicgen_melody",
    "phi4_multimodal", "qwen3_5", "qwen3_5_moe", "qwen4_exp", "qwen4_exp_text", "reformer", "roc_bert", "xlstm", "zamba", "zamba2",
}  # fmt: skip
COMMON = ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss", "jetmoe", "granite", "cohere2", "gemma2", "phi3")


def rows_of(vocab_size=97, lengths=LENGTHS, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(3, vocab_size, length) for length in lengths]


def own_loss(model, rows, prompts):
    """The loss that the model gives itself, on padded rows."""
    batch = padded_batch(rows, np.array(prompts))
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
    return model(**inputs, use_cache=False).loss


def check(model, packed=None):
    rows, count = rows_of(), sum(LENGTHS) - sum(PROMPTS)
    expected = own_loss(model, rows, PROMPTS)
    expected.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    found = make_losses(model, max(LENGTHS))
    total, by_row = model(**(packed_batch if found else padded_batch)(rows, np.array(PROMPTS)))
    (total / count).backward()
    assert packed in (None, found)
    assert total.item() / count == pytest.approx(expected.item(), rel=1e-5) and len(by_row) == len(rows)
    for name, gradient in gradients.items():
        own = dict(model.named_parameters())[name].grad
        assert torch.allclose(own, gradient, rtol=1e-3, atol=1e-5 * float(gradient.abs().max()) + 1e-8), name


@pytest.mark.parametrize("kind", COMMON)
def test_the_loss_is_the_model_s_own(kind):
    """With the balance of experts where a family has it, in a weight that can't be overlooked."""
    weight = {name: 0.5 for name in ("router_aux_loss_coef", "aux_loss_coef") if hasattr(tiny(kind), name)}
    check(model_of(tiny(kind, **weight), scale=3), packed=kind != "gpt_oss")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {*UNTRIED, *REFUSED, *COMMON}])
def test_the_loss_of_a_rarer_family_is_its_own(kind):
    check(model_of(tiny(kind)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_a_model_with_another_loss_is_refused(kind):
    with pytest.raises(XllmError, match="can't be trained here"):
        make_losses(model_of(tiny(kind)), 31)


# layers besides attention: linear attention, convolutions, state spaces, a shift of tokens
MIXING = ("minimax", "lfm2", "jamba", "mamba", "rwkv", "qwen3_next", "recurrent_gemma")


@pytest.mark.parametrize("kind", MIXING)
def test_what_mixes_tokens_besides_attention_is_never_laid_end_to_end(kind):
    """By structure, so that no draw of the weights is lucky: none is so small that it isn't seen."""
    for seed, scale in ((0, 1.0), (1, 1e-3), (2, 1e-6)):
        assert not only_attention_mixes(model_of(tiny(kind), seed, scale))


def test_attention_that_is_told_of_no_bound_is_found_out_at_that_length():
    """Llama 4 sees chunks, of which attention isn't told: rows within one are as they were."""
    model = model_of(tiny("llama4_text", attention_chunk_size=40), scale=3)
    assert not make_losses(model, 60)
    assert make_losses(model_of(tiny("llama4_text", attention_chunk_size=40), scale=3), 33)


@pytest.mark.parametrize(
    ("config", "longest", "expected"),
    [
        (tiny("llama"), 20, 20),
        (tiny("llama"), 60, 33),
        (tiny("mistral", sliding_window=40), 60, 49),
        (tiny("mistral", sliding_window=40), 45, 45),
        (tiny("llama4_text", attention_chunk_size=40), 200, 73),  # 64 positions
    ],
)
def test_a_trial_reaches_beyond_what_bounds_attention(config, longest, expected):
    assert probe(config, longest) == expected


def longrope(edge=24):
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    turning = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": edge, **factors}
    return tiny("phi3", rope_parameters=turning, original_max_position_embeddings=edge, max_position_embeddings=96)


def test_rows_beyond_the_edge_of_longrope_are_packed_with_their_like():
    assert isinstance(longrope(), Phi3Config) and edge(longrope()) == 24 and edge(tiny("llama")) is None
    model = model_of(longrope(), scale=3)
    rows = [rows_of(lengths=[own])[0] for own in (23, 31, 24, 25)]
    alone = [own_loss(model, [row], [3]).item() * (len(row) - 3) for row in rows]
    assert make_losses(model, 31)
    for pair in ((0, 2), (1, 3)):
        _, losses = model(**packed_batch([rows[row] for row in pair], np.array([3, 3])))
        assert losses.tolist() == pytest.approx([alone[row] for row in pair], rel=1e-5)
