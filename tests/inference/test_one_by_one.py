"""Models whose answers would depend on what else is in the batch are answered one by one; all others in batches."""

import pytest
import torch
from transformers import AutoTokenizer, Phi3Config, Phi3ForCausalLM

from tests.families import model_of, tiny
from xllm.inference.answering import Task, load
from xllm.inference.engine import Decoding

LONG = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "factor": 8.0}
ALONE = ("mamba", "mamba2", "rwkv", "minimax", "lfm2", "jamba", "recurrent_gemma", "phi3, with LongRoPE")
TOGETHER = ("llama", "mixtral", "gemma2", "bloom")


def made(name, folder, llama):
    tokenizer = AutoTokenizer.from_pretrained(llama)
    ids = {"vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(0)
    if name.startswith("phi3"):
        sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
        turns = LONG | {"original_max_position_embeddings": 16}
        lengths = {"max_position_embeddings": 128, "original_max_position_embeddings": 16}
        model = Phi3ForCausalLM(Phi3Config(**sizes, **ids, **lengths, num_key_value_heads=2, rope_parameters=turns))
    else:
        model = model_of(tiny(name, **ids))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("name", [*ALONE, *TOGETHER])
def test_an_answer_is_the_same_alone_and_beside_others(llama, tmp_path, name):
    task = Task("alpaca", Decoding(6), 0, None, None, None)
    engine = load(made(name, tmp_path / "model", llama), task, "hf")
    assert engine.one_by_one == (name in ALONE)
    prompts = [engine.tokenizer(text).input_ids for text in ("a", "one two three four five", "The river is long " * 3)]
    seeds = [1, 2, 3]

    def answers(rows, decoding):
        own = [prompts[row] for row in rows], decoding, [seeds[row] for row in rows]
        return dict(zip(rows, [ids for _, ids in sorted(engine.generate(*own))], strict=True))

    for decoding in (Decoding(6), Decoding(6, do_sample=True)):
        together, apart = answers([0, 1, 2], decoding), {}
        for row in range(3):
            apart |= answers([row], decoding)
        assert together == apart or (decoding.do_sample and not engine.one_by_one and not engine.shares_prefixes)
