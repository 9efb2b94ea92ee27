"""Answers: what is cut, where they end, and that they don't depend on what shares the batch."""

import threading
from itertools import pairwise

import pytest
import torch

from xllm.artifacts import model_folder
from xllm.errors import XllmError
from xllm.inference.engine import Decoding, text_of
from xllm.inference.hf import HFEngine, Written, pad_left
from xllm.mixture.load import load_mixture
from xllm.models.load import load_model
from xllm.templates import encode_prompts


@pytest.fixture
def engine(tiny):
    return HFEngine.load(str(tiny))


@pytest.fixture
def prompts(engine, sample):
    rows = list(load_mixture("xquad_en[:5]+xquad_zh[:5]+translation_daily_en-zh[:5]", "test"))
    return encode_prompts([(row["instruction"], row["input"]) for row in rows], "alpaca", engine.tokenizer)


def plain(engine, prompt, most):
    """Greedy decoding by hand: one row, no padding, no cache."""
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(most):
            token = int(engine.model(torch.tensor([ids])).logits[0, -1].argmax())
            if token in engine.eos_token_ids:
                break
            ids.append(token)
    return text_of(ids[len(prompt) :], engine)


@pytest.mark.slow
def test_a_batch_answers_as_each_row_alone_would(engine, prompts):
    decoding = Decoding(max_new_tokens=12)
    assert len({len(prompt) for prompt in prompts}) > 5
    assert engine.answer(prompts, decoding) == [plain(engine, prompt, 12) for prompt in prompts]


def test_prompts_are_those_of_training(engine, sample):
    from xllm.mixture.batches import encode_batch

    rows = list(load_mixture("alpaca_en+alpaca_zh", "train"))
    prompts = encode_prompts([(row["instruction"], row["input"]) for row in rows], "alpaca", engine.tokenizer)
    columns = {column: [row[column] for row in rows] for column in ("instruction", "input", "output")}
    ids, first, *_ = encode_batch(columns, engine.tokenizer, "alpaca", 512)
    assert prompts == [row[:n].tolist() for row, n in zip(ids, first, strict=True)]


def test_the_answer_ends_at_eos_though_eos_may_be_the_pad_token(engine, prompts):
    eos = engine.tokenizer.eos_token_id
    words = engine.tokenizer("Hello there", add_special_tokens=False).input_ids
    assert text_of([*words, eos, *words], engine) == "Hello there"
    force(engine, [words[0], eos, words[1], words[1]], prompts)
    assert set(engine.answer(prompts, Decoding(max_new_tokens=4))) == {text_of(words[:1], engine)}


def force(engine, tokens, prompts):
    """Make the model answer exactly `tokens`, whatever the prompt."""
    forward, step = engine.model.forward, iter(tokens)

    def forced(*args, **kwargs):
        output = forward(*args, **kwargs)
        output.logits[:, -1] = -1.0
        output.logits[:, -1, next(step)] = 1.0
        return output

    engine.model.forward = forced


@pytest.mark.slow
def test_answers_end_with_the_window(engine):
    """Near the end of the window a row gets the tokens that are left, and the others of its batch all of theirs."""
    long = engine.tokenizer("word " * 700).input_ids[: engine.window - 3]
    positions: list[int] = []
    engine.model.model.rotary_emb.register_forward_pre_hook(
        lambda module, args, kwargs: positions.append(int(kwargs.get("position_ids", args[-1]).max())),
        with_kwargs=True,
    )
    answers = engine.answer([long, long[:100]], Decoding(max_new_tokens=6))
    assert max(positions) == engine.window - 2  # the last token of the window is answered, not read
    assert answers == [plain(engine, long, 3), plain(engine, long[:100], 6)]
    with pytest.raises(XllmError, match=f"{engine.window} tokens doesn't fit into the model's window"):
        engine.answer([[*long, 1, 1, 1], long[:100]], Decoding(max_new_tokens=50))


def test_the_model_s_own_sampling_settings_do_not_change_greedy(engine, prompts):
    before = engine.answer(prompts[:2], Decoding(max_new_tokens=8))
    first = [int(engine.model(torch.tensor([prompt])).logits[0, -1].argmax()) for prompt in prompts[:2]]
    settings = {"do_sample": True, "temperature": 5.0, "suppress_tokens": first, "no_repeat_ngram_size": 1}
    model = load_model(engine.model.name_or_path, torch.float32)
    model.generation_config.update(**settings)
    assert HFEngine(model, engine.tokenizer).answer(prompts[:2], Decoding(max_new_tokens=8)) == before


def test_sampling_is_repeatable_and_differs_from_greedy(engine, prompts):
    decoding, answers = Decoding(16, do_sample=True, temperature=1.5), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        answers.append(engine.answer(prompts[:3], decoding))
    assert answers[0] == answers[1] != answers[2]


def test_a_stream_grows_into_the_answer(engine, prompts):
    for beams in (1, 3):
        decoding = Decoding(max_new_tokens=12, num_beams=beams)
        pieces = list(engine.stream(prompts[0], decoding, threading.Event()))
        [answer], [ids] = engine.answer(prompts[:1], decoding), engine.write(prompts[:1], decoding)
        assert pieces[-1] == Written(answer, len(ids), ended=ids[-1] in engine.eos_token_ids)
        assert all(later.text.startswith(earlier.text) for earlier, later in pairwise(pieces))
        assert all(earlier.tokens <= later.tokens for earlier, later in pairwise(pieces))


@pytest.mark.slow
def test_closing_a_stream_ends_the_generation(engine, prompts):
    engine.eos_token_ids = [10**6]  # nothing else ends it
    engine.model.config.vocab_size = 10**6 + 1
    for decoding in (Decoding(max_new_tokens=400), Decoding(max_new_tokens=400, num_beams=2)):
        stream = engine.stream(prompts[0], decoding, threading.Event())
        next(stream)
        stream.close()
        assert not [thread for thread in threading.enumerate() if "work" in thread.name]


def test_stopping_a_stream_ends_the_generation(engine, prompts):
    passes = 0

    def count(*_):
        nonlocal passes
        passes += 1
        if passes == 5:
            stop.set()

    stop = threading.Event()
    engine.model.register_forward_hook(count)
    engine.eos_token_ids = [10**6]  # nothing else ends it
    engine.model.config.vocab_size = 10**6 + 1
    list(engine.stream(prompts[0], Decoding(max_new_tokens=200), stop))
    assert passes == 5


def test_padding_is_on_the_left():
    ids, mask = pad_left([[5, 6, 7], [8]], 2, torch.device("cpu"))
    assert ids.tolist() == [[5, 6, 7], [2, 2, 8]] and mask.tolist() == [[1, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.5}, "--temperature has no effect without --do_sample"),
        ({"top_k": 5}, "--top_k has no effect"),
        ({"do_sample": True, "temperature": 0.0}, "--temperature 0.0: it must be 0.01 or more"),
        ({"do_sample": True, "top_p": 1.5}, "--top_p 1.5: it must be above 0, and 1 at most"),
        ({"max_new_tokens": 0}, "--max_new_tokens 0: it must be 1 or more"),
        ({"num_beams": 0}, "--num_beams 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(XllmError, match=message):
        Decoding(**settings)


def test_a_broken_folder_is_told_in_one_line(tmp_path, llama):
    import shutil

    folder = tmp_path / "broken"
    shutil.copytree(llama, folder)
    (folder / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(XllmError, match="cannot read the weights"):
        HFEngine.load(model_folder.find(str(folder)))
    (folder / "config.json").unlink()
    with pytest.raises(XllmError, match="no config.json"):
        model_folder.find(str(folder))
