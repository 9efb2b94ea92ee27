"""Conversations: what a model reads of one, and the records that one comes to, as training data.

A conversation is a list of messages, `{"role": "user" | "assistant" | "system", "content": text}`, as chat templates
take it.
"""

import json
from collections.abc import Iterable
from copy import copy
from itertools import pairwise
from typing import TYPE_CHECKING

from xllm import control_tokens
from xllm.artifacts import model_folder
from xllm.boundary import encode_pairs
from xllm.errors import XllmError
from xllm.templates import (
    CHAT,
    TEMPLATES,
    ask_by_chat_template,
    check_template,
    check_wording,
    encode_prompts,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

OWN = "the model's own"  # of the templates: the one that it was tuned with, else its chat template, else alpaca
NAMES = (OWN, CHAT, *sorted(TEMPLATES))


def template_for(template: str, source: str, tokenizer: "PreTrainedTokenizerFast") -> str:
    """The template that one of NAMES means for a model. Raises XllmError where the model has none of that name."""
    if template != OWN:
        return check_wording(template, tokenizer, model_folder.short_name(source))
    if "encoding" not in model_folder.run_facts(source) and tokenizer.chat_template is not None:
        return CHAT
    return check_template(model_folder.template_of(source))


def encode(messages: list[dict[str, str]], template: str, tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    """The token ids with which a model is asked to go on with a conversation, whose last message is the user's.

    Templates for records have one turn, so earlier turns stand before the last one as training rows do: prompt,
    response and eos. What the system says goes in front of the first instruction.
    """
    if template == CHAT:
        return _by_chat_template(messages, tokenizer)
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    said = [message for message in messages if message["role"] != "system"]
    ids, first = [], True
    for number, message in enumerate(said):
        following = said[number + 1] if number + 1 < len(said) else None
        if message["role"] != "user" or (following and following["role"] != "assistant"):
            continue  # nothing was answered to it, as where the answer was stopped before its first token
        instruction = f"{system}\n\n{message['content']}" if system and first else message["content"]
        ids += _turn(instruction, following and following["content"], template, tokenizer)
        first = False
    return ids


def _turn(instruction: str, answer: str | None, template: str, tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    if answer is None:
        [ids] = encode_prompts([(instruction, "")], template, tokenizer)
        return ids
    [turn] = encode_pairs([TEMPLATES[template](instruction, "")], [answer], tokenizer, chat=False)
    return [*turn.ids, tokenizer.eos_token_id]


def _by_chat_template(messages: list[dict[str, str]], tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    from jinja2 import TemplateError

    try:
        return ask_by_chat_template(messages, tokenizer)
    except TemplateError as error:  # some take no system message, or want turns to alternate
        raise XllmError(f"the model's chat template doesn't take these messages: {error}") from error


def encode_one(instruction: str, text: str, template: str, tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    """The token ids of the prompt for an instruction and its input, as records have them."""
    [ids] = encode_prompts([(instruction, text)], template, tokenizer)
    return ids


def encode_text(text: str, tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    """The token ids of a text that is all that a model reads, with the control tokens that it may hold."""
    [ids] = encode_prompts([(text, "")], "raw", control_tokens.allow(copy(tokenizer)))
    return ids


def records(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The turns of a conversation as rows of the dataset `alpaca`: instruction, input (empty) and output."""
    pairs = pairwise(messages)
    return [
        {"instruction": asked["content"], "input": "", "output": answered["content"]}
        for asked, answered in pairs
        if (asked["role"], answered["role"]) == ("user", "assistant")
    ]


def lines(rows: Iterable[dict[str, str]]) -> str:
    """Records as the text of an `alpaca_<lang>.jsonl`."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
