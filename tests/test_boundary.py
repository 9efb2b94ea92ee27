"""Before every answer stand the prompt's own token ids, and both together say what was written."""

import random
import unicodedata

import pytest

from tests.conftest import save_llama
from tests.vocabularies import BPE, FAMILIES, family
from xllm.boundary import NEUTRAL, encode_pairs, encode_prompts, split
from xllm.files import read_jsonl, write_json

PAIRS = [
    ("### Response:", "Nora"),
    ("### Response:", " Nora"),
    ("### Response:", "\nNora"),
    ("### Response:", "\n\n Nora"),
    ("### Response:", '"Nora" and Anna'),
    ("### Response:", "中文"),
    ("### Response:", ""),
    ("### Response:", "'s"),
    ("### Response:", "\u0301 a mark alone"),
    ("### Response:", "🙂"),
    ("### Response:", "😀"),
    ("caf", "e\u0301"),
    ("Cafe", "\u0301 au lait"),
    ("smile 🙂", "🙂 again"),
    ("say 中", "文 again"),
    ("count 1", "2 and 3"),
    ("Which? ", "Nora"),
    ("Which?\n\n", "\n Nora"),
    ("Which?\u3000 \t", " Nora"),
    ("The answer: the", "ory"),
]


@pytest.fixture(scope="module")
def families():
    return {name: family(name) for name in FAMILIES}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("chat", [False, True])
def test_the_prompt_s_own_ids_then_the_answer_s_and_no_text_is_lost(families, name, chat):
    tokenizer, compared = families[name], 0
    pairs = encode_pairs(*zip(*PAIRS, strict=True), tokenizer, chat=chat)
    for (prompt, answer), pair in zip(PAIRS, pairs, strict=True):
        asked = prompt if chat else prompt.rstrip()
        own = tokenizer(asked, add_special_tokens=not chat).input_ids
        assert encode_prompts([prompt], tokenizer, chat=chat) == [own]
        assert pair.ids[: pair.start] == own, (prompt, answer)
        whole = tokenizer(prompt + answer, add_special_tokens=not chat).input_ids
        if tokenizer.unk_token_id is None and 0 not in whole * (name == "unigram"):
            read = tokenizer.decode(pair.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            assert unicodedata.normalize("NFC", read) == unicodedata.normalize("NFC", prompt + answer)
        if not pair.straddles:
            assert pair.ids == whole  # as the reference has them
            compared += 1
    assert compared > 5


PIECES = [*"aeN:.,\"'-(#19 \n\t\r", "\u0301", "\u0338", "\u3000", "\u200b", "\ufeff", "\xa0", "中", "的", "ا", "\u064e"]
PIECES += ["ก", "\u0e33", "🙂", "👩\u200d💻", "é", "ﬁ", "龘", "𠀀", "  ", "Response:", "the", " Nora", "12", "</s>"]


@pytest.mark.parametrize("name", BPE)
def test_whatever_is_written_is_read(families, name):
    tokenizer, draw = families[name], random.Random(0)
    prompts = ["".join(draw.choices(PIECES, k=draw.randint(1, 6))) for _ in range(2000)]
    answers = ["".join(draw.choices(PIECES, k=draw.randint(0, 6))) for _ in range(2000)]
    own, pairs = encode_prompts(prompts, tokenizer, chat=False), encode_pairs(prompts, answers, tokenizer, chat=False)
    assert 0 < sum(pair.straddles for pair in pairs) < 200
    for asked, prompt, answer, pair in zip(own, prompts, answers, pairs, strict=True):
        assert pair.ids[: pair.start] == asked
        ids = pair.ids if name == "qwen" else pair.ids[1:]  # bos; eos in these texts is text
        read = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        assert composed(read) == composed(prompt + answer)


def composed(text):
    """As Qwen's normalizer has it; sentencepiece's decoder drops spaces at the front."""
    return unicodedata.normalize("NFC", text).lstrip(" ")


@pytest.mark.parametrize(
    ("name", "prompt", "answer", "tokens"),
    [
        ("qwen", "Response:", "Nora", ["Nora"]),
        ("qwen", "Response:", "\nNora", ["Ċ", "Nora"]),
        ("qwen", "Response:", '"Nora', ['"', "Nora"]),
        ("gpt2", "Response:", '"', ['"']),
        ("gpt2", "Response:", "🙂", list("ðŁĻĤ")),
        ("gpt2", "Response:", "😀", list("ðŁĺĢ")),  # the colon and three bytes of four were one token
        ("llama", "Response:", "Nora", ["Nora"]),
        ("llama", "Response: ", "Nora", ["▁N", "o", "r", "a"]),
        ("metaspace", "Response:", "Nora", ["Nora"]),
        ("gemma", "Response:", "Nora", ["Nora"]),
        ("gemma", "Response:", "\n\nNora", ["\n\n", "Nora"]),
        ("gemma", "1", "2", ["2"]),
        ("unigram", "Response:", "Ab", ["A", "b"]),
    ],
)
def test_an_answer_that_shares_a_token_is_tokenized_as_if_it_followed_on_another_text(
    families, name, prompt, answer, tokens
):
    [pair] = encode_pairs([prompt], [answer], families[name], chat=False)
    assert pair.straddles
    assert families[name].convert_ids_to_tokens(pair.ids[pair.start :]) == tokens


def test_one_token_for_all_unknown_characters_takes_nothing_of_the_answer(families):
    tokenizer = families["unigram"]
    [pair] = encode_pairs(["Say 龘"], ["龘!"], tokenizer, chat=False)
    assert pair.straddles and tokenizer.convert_ids_to_tokens(pair.ids[pair.start :]) == ["<unk>", "!"]


@pytest.mark.parametrize("name", BPE)
def test_a_token_that_takes_the_blanks_around_it_leaves_the_answer_s(name):
    from tokenizers import AddedToken

    tokenizer = family(name)
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken("<answer>", rstrip=True, special=True)]})
    [pair] = encode_pairs(["Say it.<answer>\n"], ["  Nora"], tokenizer, chat=True)
    assert tokenizer.decode(pair.ids[pair.start :]).lstrip(" ") == "Nora"
    assert tokenizer.convert_ids_to_tokens(pair.ids[pair.start :])[0] in ("Ġ", "▁", "ĠN", "▁N")


def test_eos_that_a_tokenizer_puts_behind_every_text_ends_neither(families):
    from tokenizers import processors

    tokenizer, plain = family("llama"), families["llama"]
    both = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<s>", "</s>")]
    ending = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=both)
    tokenizer.backend_tokenizer.post_processor = ending
    assert tokenizer("a").input_ids[-1] == tokenizer.eos_token_id
    for asked in (["", "a", "Response:", "Response:"], ["a", "", "Nora", "b"]):
        assert encode_prompts(asked, tokenizer, chat=False) == encode_prompts(asked, plain, chat=False)
    texts = ["", "a", "Response:", "Response:"], ["a", "", "Nora", "b"]
    assert encode_pairs(*texts, tokenizer, chat=False) == encode_pairs(*texts, plain, chat=False)


def test_an_answer_that_shares_a_token_with_every_text_is_tokenized_alone():
    tokenizer = family("gemma", (*(f"{text}N" for text in NEUTRAL), ":N", "Nora"))
    [pair] = encode_pairs(["Response:"], ["Nora"], tokenizer, chat=False)
    assert pair.straddles and tokenizer.decode(pair.ids, skip_special_tokens=True) == "Response:Nora"


@pytest.mark.parametrize(
    ("prompt", "answer", "expected"),
    [
        ("Which? ", "Nora", ("Which?", " Nora")),
        ("Which?\n", "\nNora", ("Which?", "\n\nNora")),
        ("哪个？\u3000", "诺拉", ("哪个？", "\u3000诺拉")),
        (" Which?", "Nora ", (" Which?", "Nora ")),
        ("Which?\u200b", "Nora", ("Which?\u200b", "Nora")),
        (" \n", "Nora", (" \n", "Nora")),
        ("", " Nora", ("", " Nora")),
    ],
)
def test_blanks_at_the_end_of_a_prompt_are_the_answer_s(prompt, answer, expected):
    assert split(prompt, answer) == expected
    assert split(*expected) == expected  # once is enough


@pytest.mark.slow
@pytest.mark.base_model
def test_that_is_what_lm_evaluation_harness_does(smol):
    pytest.importorskip("lm_eval")  # which has left Python 3.10
    import torch
    from lm_eval.models.huggingface import HFLM

    from xllm.models.load import load_model, load_tokenizer

    tokenizer = load_tokenizer(str(smol))
    harness = HFLM(pretrained=load_model(str(smol), torch.float32), tokenizer=tokenizer, device="cpu")
    for prompt, answer in PAIRS:
        [pair] = encode_pairs([prompt], [answer], tokenizer, chat=False)
        if answer and not pair.straddles:
            assert harness._encode_pair(prompt, answer) == (pair.ids[: pair.start], pair.ids[pair.start :])


@pytest.mark.slow
def test_what_is_learnt_is_what_is_answered(cli, root, tmp_path):
    """The first letters of these answers would share a token with the prompt's colon."""
    texts = {"Who?": "Nora", "Which?": "Anna", "What?": '"Nora"'}
    rows = [{"instruction": ask, "input": "", "output": text} for ask, text in texts.items()]
    write_json(root / "alpaca" / "alpaca_en.json", rows)
    save_llama(tmp_path / "base", family("qwen"))
    words = ("--max_steps", 60, "--learning_rate", 0.01, "--global_batch_size", 3, "--output_dir", tmp_path / "tuned")
    assert cli("train", tmp_path / "base", "alpaca_en", *words).code == 0
    assert cli("infer", tmp_path / "tuned", "alpaca_en", "--split", "train", "--max_new_tokens", 9).code == 0
    answered = read_jsonl(tmp_path / "tuned" / "test" / "alpaca_en.inference.jsonl")
    assert [row["prediction"] for row in answered] == list(texts.values())
