"""The wordings, byte for byte."""

import string

from xllm import prompts
from xllm.templates import alpaca, raw

WITH_INPUT = (
    b"Below is an instruction that describes a task, paired with an input that provides further context. Write a "
    b"response that appropriately completes the request.\n\n### Instruction:\nDo {this}.\n\n### Input:\n\xe4\xb8\xad"
    b"\n\n### Response:"
)
WITHOUT_INPUT = (
    b"Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    b"### Instruction:\nDo {this}.\n\n### Response:"
)


def test_the_alpaca_prompt_is_stanford_s():
    assert alpaca("Do {this}.", "中").encode() == WITH_INPUT
    assert alpaca("Do {this}.", "").encode() == WITHOUT_INPUT


def test_the_raw_prompt_is_instruction_and_input():
    assert raw("Do {this}.", "中") == "Do {this}.\n\n中"
    assert raw("Do {this}.", "") == "Do {this}."


def test_the_translation_wordings_differ_and_all_name_the_target():
    assert len(set(prompts.TRANSLATION)) == len(prompts.TRANSLATION) >= 30
    for wording in prompts.TRANSLATION:
        fields = {field for _, field, _, _ in string.Formatter().parse(wording) if field}
        assert "target" in fields and fields <= {"source", "target"}


def test_questions_are_worded_in_every_language_of_xquad_and_mlqa():
    xquad, mlqa = "ar de el en es hi ro ru th tr vi zh", "ar de en es hi vi zh"
    assert set(prompts.QUESTION_ANSWERING) == {*xquad.split(), *mlqa.split()}
    assert len(set(prompts.QUESTION_ANSWERING.values())) == 12
    for language in prompts.QUESTION_ANSWERING:
        _, text = prompts.question(language, "CONTEXT {x}", "QUESTION")
        context, question, answer = text.split("\n")
        assert "CONTEXT {x}" in context and "QUESTION" in question and answer.endswith((":", "："))


def test_no_label_begins_another():
    for labels in (*(prompts.LABELS[name].values() for name in prompts.LABELS), prompts.LETTERS):
        assert not [(a, b) for a in labels for b in labels if a != b and b.startswith(a)]


def test_fields_bring_no_blank_line_into_a_block():
    _, text = prompts.exam("mmlu", "x", [], {"question": "a {b}\n \n\n  c\n", **dict.fromkeys("ABCD", "o")})
    assert text == "Question: a {b}\n  c\nA. o\nB. o\nC. o\nD. o\nAnswer:"
