"""Templates: from an instruction and an input to the prompt that a model reads, as text and as token ids.

The Alpaca prompt is that of Stanford Alpaca (https://github.com/tatsu-lab/stanford_alpaca), in English for every
language, as x-LLM uses it: it ends with the colon, and the response follows it directly.
"""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from xllm import boundary, control_tokens
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


TEXT_FIELDS = ("instruction", "input", "output")


def plain(instruction: str, input: str, output: str) -> str:
    """What a record says, without any prompt around it."""
    return "\n\n".join(part for part in (instruction, input, output) if part)


def text_of(record: Mapping[str, Any], field: str | None) -> str:
    """What is trained on of a record with the template TEXT: all that it says, or one of TEXT_FIELDS."""
    return record[field] if field else plain(*(record[name] for name in TEXT_FIELDS))


def check_text_field(field: str | None, template: str) -> None:
    """Raise XllmError where a `field` of records is named, but the template takes an instruction, input and output."""
    if field is not None and template != TEXT:
        raise XllmError(
            f"--text_field {field} goes with plain text alone (METHOD continue, or --template text), "
            f"not with the template {template}"
        )


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
    turns = [control_tokens.shield([{"role": "user", "content": raw(*pair)}], tokenizer) for pair in pairs]
    return [str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)) for turn in turns]


def encode_prompts(
    pairs: list[tuple[str, str]], template: str, tokenizer: "PreTrainedTokenizerFast"
) -> list[list[int]]:
    """Token ids of the prompts for (instruction, input) pairs, as training sees them."""
    return boundary.encode_prompts(word(pairs, template, tokenizer), tokenizer, chat=template == CHAT)


def check_wording(template: str, tokenizer: "PreTrainedTokenizerFast", name: str) -> str:
    """Return `template`, or raise XllmError where there is none of that name, or model `name` has none for chats."""
    if template != CHAT:
        return check_template(template, CHAT)
    if tokenizer.chat_template is None:
        raise XllmError(f"{name} has no chat template; templates without one: {', '.join(sorted(TEMPLATES))}")
    return template


# as `xllm.chat.conversation` puts a conversation: what the system says in front of the first instruction, earlier turns
# as training rows, each with its eos; text can't say, though, that no token straddles an earlier turn's boundary
CHAT_TEMPLATE = """\
{{%- set front = {front} -%}}
{{%- set start = {start} -%}}
{{%- set end = {end} -%}}
{{%- set eos = {eos} -%}}
{{%- set gap = {gap} -%}}
{{%- set told = messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | join('\\n\\n') -%}}
{{%- set seen = namespace(first=true) -%}}
{{%- for message in messages | rejectattr('role', 'equalto', 'system') -%}}
{{%- if message['role'] == 'user' and (loop.last or loop.nextitem['role'] == 'assistant') -%}}
{{%- set asked = start ~ (told ~ '\\n\\n' if told and seen.first else '') ~ message['content'] -%}}
{{{{- front ~ (gap if (front or not seen.first) and not asked.startswith(' ') else '') -}}}}
{{%- set seen.first = false -%}}
{{%- if not loop.last -%}}
{{{{- asked ~ end ~ loop.nextitem['content'] ~ eos -}}}}
{{%- elif add_generation_prompt -%}}
{{{{- (asked ~ end).rstrip() or asked -}}}}
{{%- else -%}}
{{{{- asked -}}}}
{{%- endif -%}}
{{%- endif -%}}
{{%- endfor -%}}
"""
TRIED = ("Say hello.", " Where?\n\n它在哪里？ ", "1\n\n2")  # instructions that a chat template must ask rightly


def chat_template(template: str, tokenizer: "PreTrainedTokenizerFast") -> str | None:
    """A template of records as a chat template (Jinja), with which any tool asks a model as it was tuned: a user's turn
    gets the token ids of `encode_prompts`. It writes what the tokenizer puts in front of a text, bos for one, since
    nothing is added to text from a chat template. None where no text gets these ids."""
    start, end = TEMPLATES[template]("\0", "").split("\0")
    plain, full = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    added = next(full[:i] for i in range(len(full)) if full[i : i + len(plain)] == plain)
    after_eos = tokenizer(f"{tokenizer.eos_token}a", add_special_tokens=False)["input_ids"]
    texts = {
        "front": "".join(tokenizer.convert_ids_to_tokens(added)),
        "start": start,
        "end": end,
        "eos": tokenizer.eos_token,
        # some sentencepiece tokenizers begin a word where a text begins, but not where it follows on bos or eos
        "gap": "" if after_eos == [tokenizer.eos_token_id, *plain] else " ",
    }
    source = CHAT_TEMPLATE.format(**{name: json.dumps(text, ensure_ascii=False) for name, text in texts.items()})
    asked = [ask_by_chat_template([{"role": "user", "content": text}], tokenizer, source) for text in TRIED]
    return source if asked == encode_prompts([(text, "") for text in TRIED], template, tokenizer) else None


def ask_by_chat_template(
    messages: list[dict[str, str]], tokenizer: "PreTrainedTokenizerFast", source: str | None = None
) -> list[int]:
    """The token ids of a conversation by a chat template, the tokenizer's own unless another is given."""
    told = control_tokens.shield(messages, tokenizer)
    text = tokenizer.apply_chat_template(told, chat_template=source, tokenize=False, add_generation_prompt=True)
    [ids] = boundary.encode_prompts([str(text)], tokenizer, chat=True)
    return ids
