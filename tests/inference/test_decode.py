"""Sharing what prompts have in common changes nothing but the time."""

import math

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen3Config,
)

from xllm.inference.answering import Task, writing
from xllm.inference.batching import deal, plan
from xllm.inference.constrained import after_prompts
from xllm.inference.decode import Limits, decode
from xllm.inference.engine import Decoding, text_of
from xllm.inference.hf import HFEngine
from xllm.mixture.load import load_mixture
from xllm.models.load import load_tokenizer
from xllm.packing.prefix_tree import Tree, attend_by_tree, log_probabilities
from xllm.templates import encode_prompts

SIZE = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = SIZE | {"intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8}
FAMILIES = {
    "llama": LlamaConfig(**GROUPED),
    "mistral, whose window is short": MistralConfig(**GROUPED, sliding_window=11),
    "qwen3": Qwen3Config(**GROUPED),
    "gemma2, with soft caps and a short window": Gemma2Config(**GROUPED, sliding_window=11),
    "gemma3, with a short window": Gemma3TextConfig(**GROUPED, sliding_window=11),
    "gpt2": GPT2Config(vocab_size=97, n_positions=200, n_embd=32, n_layer=2, n_head=4),
}
START = [*range(3, 33)]  # what prompts have in common
PROMPTS = [[*START, 40], [*START, *range(50, 70)], [*START], [*range(60, 90)], [*START, *range(50, 68), 1, 2], [7]]


@pytest.fixture(params=FAMILIES)
def family(request):
    torch.manual_seed(0)
    config = FAMILIES[request.param]
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


def plain_scores(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0].float()


def decoded(model, prompts, decoding, seeds):
    return dict(decode(model, prompts, decoding, seeds, Limits([5], [decoding.max_new_tokens] * len(prompts))))


def greedy(model, prompt, most):
    ids = list(prompt)
    while len(ids) < len(prompt) + most:
        ids.append(int(plain_scores(model, ids)[-1].argmax()))
        if ids[-1] == 5:
            break
    return ids[len(prompt) :]


def test_answers_are_those_of_one_row_at_a_time(family):
    expected = [greedy(family, prompt, 12) for prompt in PROMPTS]
    assert attend_by_tree(family)
    found = decoded(family, PROMPTS, Decoding(12), [0] * len(PROMPTS))
    assert [found[row] for row in range(len(PROMPTS))] == expected


def test_probabilities_are_those_of_one_row_at_a_time(family):
    starts = [len(prompt) // 2 + 1 for prompt in PROMPTS[:-1]]
    expected = []
    for prompt, start in zip(PROMPTS, starts, strict=False):
        said = plain_scores(family, prompt).log_softmax(-1)
        expected.append(torch.stack([said[place - 1, prompt[place]] for place in range(start, len(prompt))]))
    one_by_one = log_probabilities(family, PROMPTS[:-1], starts)
    assert attend_by_tree(family)
    for found in (one_by_one, log_probabilities(family, PROMPTS[:-1], starts)):
        for one, other in zip(found, expected, strict=True):
            assert torch.allclose(one, other, atol=1e-4)


def test_a_model_whose_attention_can_t_be_replaced_stays_as_it_was():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(BloomConfig(**SIZE)).eval()
    before = plain_scores(model, PROMPTS[0])
    assert not attend_by_tree(model)
    assert torch.equal(plain_scores(model, PROMPTS[0]), before)


def test_what_is_in_common_is_stored_once():
    tree = Tree(PROMPTS)
    assert len(tree.ids) == len(START) + 1 + 18 + 2 + 2 + 30 + 1
    for prompt, places in zip(PROMPTS, tree.places, strict=True):
        assert tree.ids[list(places)].tolist() == prompt
        assert tree.positions[list(places)].tolist() == list(range(len(prompt)))


@pytest.mark.slow
def test_real_rows_are_answered_as_one_at_a_time(tiny, sample):
    """A row that differs is named; there, the two likeliest words must be as good as equal."""
    engine = HFEngine.load(str(tiny))
    rows = list(load_mixture("xquad_en+xquad_zh+translation_daily_en-zh[:20]", "test"))
    prompts = encode_prompts([(row["instruction"], row["input"]) for row in rows], "alpaca", engine.tokenizer)
    expected = [engine.write([prompt], Decoding(10))[0] for prompt in prompts]
    engine.shares_prefixes = attend_by_tree(engine.model)
    assert engine.shares_prefixes
    found, differing = {}, {}
    for batch in plan(dict(enumerate(prompts)), 10, 5000, 64):
        answers = dict(engine.generate([prompts[row] for row in batch], Decoding(10), [0] * len(batch)))
        found |= {batch[number]: ids for number, ids in answers.items()}
    engine.model.set_attn_implementation("sdpa")
    for row, ids in enumerate(expected):
        if found[row] != ids:
            at = next(place for place, pair in enumerate(zip(found[row], ids, strict=False)) if pair[0] != pair[1])
            best = plain_scores(engine.model, prompts[row] + ids[:at])[-1].topk(2).values
            differing[rows[row]["id"]] = float(best[0] - best[1])
    assert all(gap < 1e-4 for gap in differing.values()), differing


def test_what_is_drawn_for_a_row_does_not_depend_on_the_others(family):
    assert attend_by_tree(family)
    decoding = Decoding(10, do_sample=True, temperature=1.3, top_p=0.9, top_k=40)
    seeds = list(range(len(PROMPTS)))
    together = decoded(family, PROMPTS, decoding, seeds)
    alone = [decoded(family, [prompt], decoding, [seed])[0] for prompt, seed in zip(PROMPTS, seeds, strict=True)]
    assert [together[row] for row in seeds] == alone
    assert together != decoded(family, PROMPTS, decoding, [seed + 1 for seed in seeds])


def test_words_are_drawn_as_often_as_they_are_likely(llama):
    engine = HFEngine.load(str(llama))
    engine.shares_prefixes = attend_by_tree(engine.model)
    assert engine.shares_prefixes
    prompt, decoding = [1, 400, 401], Decoding(1, do_sample=True, temperature=0.05, top_k=3)
    best = (plain_scores_of(engine, prompt)[-1] / 0.05).topk(3)
    shares = dict(zip(best.indices.tolist(), best.values.softmax(-1).tolist(), strict=True))
    draws = [ids[0] for _, ids in engine.generate([prompt] * 400, decoding, list(range(400)))]
    assert set(draws) <= set(shares)
    for word, share in shares.items():
        spread = math.sqrt(share * (1 - share) / 400)
        assert abs(draws.count(word) / 400 - share) < 5 * spread + 1e-9


def plain_scores_of(engine, prompt):
    engine.model.set_attn_implementation("sdpa")
    found = plain_scores(engine.model, prompt)
    engine.model.set_attn_implementation("tree")
    return found


def test_the_plan_holds_each_row_once_within_the_budget():
    prompts = {number: [*START, *range(number % 7)] if number % 2 else [number] * (number + 1) for number in range(50)}
    batches = plan(prompts, 10, 300, 6)
    assert sorted(row for batch in batches for row in batch) == list(range(50))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * (max(len(prompts[row]) for row in batch) + 10) <= 300
        assert len(batch) <= 6
    assert sum(any(row % 2 for row in batch) for batch in batches) <= 6  # those that begin alike are together
    shares = deal(batches, [len(batch) for batch in batches], 3)
    assert sorted(tuple(batch) for share in shares for batch in share) == sorted(map(tuple, batches))
    loads = [sum(map(len, share)) for share in shares]
    assert max(loads) - min(loads) <= 6


@pytest.fixture
def bloom(llama):
    """An engine of a model whose attention can't be replaced."""
    torch.manual_seed(0)
    tokenizer = load_tokenizer(str(llama))
    model = AutoModelForCausalLM.from_config(BloomConfig(**(SIZE | {"vocab_size": len(tokenizer)}))).eval()
    assert not attend_by_tree(model)
    return HFEngine(model, tokenizer)


def answers(engine, task, prompts, given):
    return {key: entry["prediction"] for key, entry, _ in writing(engine, task, prompts, given)(list(prompts))}


def test_a_model_without_trees_answers_too(bloom):
    prompts = {3: [1, 300, 301], 5: [1, 302, 40, 41, 42]}
    found = answers(bloom, Task("alpaca", Decoding(4), 0, None, None, None), prompts, {})
    for key, prompt in prompts.items():
        ids = list(prompt)
        while len(ids) < len(prompt) + 4 and (len(ids) == len(prompt) or ids[-1] not in bloom.eos_token_ids):
            ids.append(int(plain_scores(bloom.model, ids)[-1].argmax()))
        assert found[key] == text_of(ids[len(prompt) :], bloom)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_model_without_trees_writes_nothing_but_labels(bloom, beams):
    texts = {"row 0": ["the town", "the old mill", "the old", "a river"]}
    [labels] = after_prompts(["Which? "], texts, "alpaca", bloom.tokenizer)
    longest = max(len(label.tokens) for label in labels)
    task = Task("alpaca", Decoding(longest, num_beams=beams), 0, "constrain", None, None)
    prompt = labels[0].ids[: labels[0].start]
    found = answers(bloom, task, {0: prompt, 1: prompt}, {0: labels, 1: labels[1:]})
    assert found[0] in {label.text for label in labels} and found[1] in {label.text for label in labels[1:]}
