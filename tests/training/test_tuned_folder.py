"""What a tuned model's folder says of itself to other tools."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, LlamaTokenizerFast, pipeline

from tests.conftest import train_sentencepiece
from xllm.chat import conversation
from xllm.templates import TEMPLATES, chat_template, encode_prompts

FLAGS = ("--max_steps", "1", "--global_batch_size", "4")
TALKS = (
    [{"role": "user", "content": "Say {{ hello }}."}],
    [{"role": "user", "content": ' 它在哪里？\n\n"Here"\\n '}],
    [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "never answered"},
        {"role": "user", "content": "One? "},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "  Two?\n"},
    ],
)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """Tokenizers that add bos, none, bos and eos; sentencepiece's with and without a word's begin after bos."""
    folder = tmp_path_factory.mktemp("sp") / "tokenizer"
    ways = ({"add_bos_token": False}, {"add_bos_token": True, "add_eos_token": True}, {"legacy": True})
    return [train_sentencepiece(folder)] + [LlamaTokenizerFast.from_pretrained(folder, **way) for way in ways]


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_chat_templates_ask_as_training_does(tokenizers, template):
    for tokenizer in tokenizers:
        check(tokenizer, chat_template(template, tokenizer), template)


@pytest.mark.base_model
@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_chat_templates_of_a_bpe_tokenizer(smol, template):
    tokenizer = AutoTokenizer.from_pretrained(smol)
    source = chat_template(template, tokenizer)
    check(tokenizer, source, template)
    asked = tokenizer.apply_chat_template(TALKS[0], chat_template=source, tokenize=False, add_generation_prompt=True)
    assert asked == TEMPLATES[template]("Say {{ hello }}.", "")


def check(tokenizer, source, template):
    for talk in TALKS:
        ids = tokenizer.apply_chat_template(
            talk, chat_template=source, tokenize=True, add_generation_prompt=True, return_dict=False
        )
        assert ids == conversation.encode(talk, template, tokenizer), talk
    [last] = encode_prompts([(TALKS[0][0]["content"], "")], template, tokenizer)
    assert last == conversation.encode(TALKS[0], template, tokenizer)


@pytest.mark.slow
def test_a_pipeline_asks_as_training_did(cli, tiny, sample, tmp_path):
    base, out = shutil.copytree(tiny, tmp_path / "base"), tmp_path / "out"
    (base / "chat_template.jinja").write_text("{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}")
    assert cli("train", base, "alpaca_en[:4]", "--output_dir", out, *FLAGS).code == 0
    answers = pipeline("text-generation", str(out))
    seen = []
    generate = answers.model.generate
    answers.model.generate = lambda *args, **given: seen.append(given["input_ids"].tolist()) or generate(*args, **given)
    answers([{"role": "user", "content": "Name a river."}], max_new_tokens=1, do_sample=False)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert seen == [encode_prompts([("Name a river.", "")], "alpaca", tokenizer)]
    assert conversation.template_for(conversation.OWN, str(out), tokenizer) == "alpaca"
    assert conversation.template_for("chat", str(out), tokenizer) == "chat"
    assert cli("infer", out, "mieval_en[:1]", "--template", "chat", "--max_new_tokens", "1").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(("bf16", "dtype"), [("True", torch.bfloat16), ("False", torch.float32)])
def test_the_dtype_and_the_end_are_those_of_training(cli, llama, sample, tmp_path, bf16, dtype):
    base, out = shutil.copytree(llama, tmp_path / "base"), tmp_path / "out"
    eos = AutoTokenizer.from_pretrained(llama).eos_token_id
    for name, ending in (("config.json", 7), ("generation_config.json", [7, eos])):
        facts = json.loads((base / name).read_text())
        (base / name).write_text(json.dumps(facts | {"eos_token_id": ending}))
    assert cli("train", base, "alpaca_en[:4]", "--output_dir", out, "--bf16", bf16, *FLAGS).code == 0
    assert AutoConfig.from_pretrained(out).eos_token_id == eos
    assert GenerationConfig.from_pretrained(out).eos_token_id == [eos, 7]
    assert AutoConfig.from_pretrained(out).dtype == dtype
    with safe_open(out / "model.safetensors", "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {dtype}  # noqa: SIM118  it is no dict
