"""Templates: from an instruction and an input to the prompt that a model reads, as text and as token ids.

The Alpaca prompt is that of Stanford Alpaca (https://github.com/tatsu-lab/stanford_alpaca), in English for every
language, as x-LLM uses it: it ends with the colon, and the response follows it directly.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from xllm.errors import XllmError, unknown

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ALPACA_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)


ALPACA_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:"
)


def alpaca(instruction: str, input: str) -> str:
    wording = ALPACA_WITH_INPUT if input else ALPACA_WITHOUT_INPUT
    return wording.format(instruction=instruction, input=input)


def raw(instruction: str, input: str) -> str:
    return f"{instruction}\n\n{input}" if input else instruction


TEXT = "text"  # no prompt: all that a record holds is trained on, as in continued pretraining


# template name → the prompt for a record's instruction and input
TEMPLATES: dict[str, Callable[[str, str], str]] = {"alpaca": alpaca, "raw": raw, TEXT: raw}


def plain(instruction: str, input: str, output: str) -> str:
    """What a record says, without any prompt around it."""
    return "\n\n".join(part for part in (instruction, input, output) if part)


def check_template(name: str, *others: str) -> str:
    """Return `name`, or raise XllmError where it is no template; `others` are named as such."""
    if name not in TEMPLATES:
        raise unknown("template", name, [*TEMPLATES, *others])
    return name


CHAT = "chat"  # the template that a model brings along for conversations


def word(pairs: list[tuple[str, str]], template: str, tokenizer: "PreTrainedTokenizerFast") -> list[str]:
    """The prompts for (instruction, input) pairs."""
    if template != CHAT:
        return [TEMPLATES[template](*pair) for pair in pairs]
    turns = [[{"role": "user", "content": raw(*pair)}] for pair in pairs]
    return [tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) for turn in turns]


def encode_prompts(
    pairs: list[tuple[str, str]], template: str, tokenizer: "PreTrainedTokenizerFast"
) -> list[list[int]]:
    """Token ids of the prompts for (instruction, input) pairs, as training sees them."""
    prompts = word(pairs, template, tokenizer)
    if not prompts:
        return []
    ids = tokenizer(prompts, add_special_tokens=template != CHAT)["input_ids"]  # which the chat template writes itself
    # a tokenizer that ends every text with eos would end the prompt too
    return [row[:-1] if len(row) > 1 and row[-1] == tokenizer.eos_token_id else row for row in ids]


def check_wording(template: str, tokenizer: "PreTrainedTokenizerFast", name: str) -> str:
    """Return `template`, or raise XllmError where there is none of that name, or model `name` has none for chats."""
    if template != CHAT:
        return check_template(template, CHAT)
    if tokenizer.chat_template is None:
        raise XllmError(f"{name} has no chat template; templates without one: {', '.join(sorted(TEMPLATES))}")
    return template
