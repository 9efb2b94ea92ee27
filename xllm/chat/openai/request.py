"""Requests of OpenAI's API: what they may hold, and what is wrong with one.

The fields are those of https://platform.openai.com/docs/api-reference; one that would change the answer and isn't
supported here is refused. Without a `temperature`, or with 0, answers are greedy. A model without a chat template is
asked by the template that it was tuned with, as in the tab Chat.
"""

import json
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from xllm.chat import conversation
from xllm.chat.service import Full, Service, TooLong, Unavailable
from xllm.errors import XllmError

# of fields that would change an answer in ways that aren't supported: the values that leave it as it is
NEUTRAL = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}
# fields that say nothing of the answer
IDLE = {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls"}
USED = {"model", "messages", "prompt", "stream", "stream_options", "max_tokens", "max_completion_tokens"} | {
    "temperature",
    "top_p",
    "stop",
    "seed",
}
SHORT = 16  # tokens of a completion without max_tokens, as OpenAI has it
STOPS = 4  # texts that may end an answer
STOP_CHARACTERS = 1000  # of all of them together
PROMPTS = 256  # of one request
MESSAGES = 1000  # of one conversation
SHOWN = 300  # characters of what is wrong, as it comes back: whoever asks may have sent megabytes


class Refused(Exception):
    """A request that gets an error: its HTTP status, OpenAI's type and code for it, and the field at fault."""

    def __init__(
        self,
        message: str,
        param: str | None = None,
        status: int = 400,
        code: str | None = None,
        kind: str | None = None,
    ) -> None:
        message, param = _shown(message), param and _shown(param)
        super().__init__(message)
        self.status = status
        kind = kind or ("server_error" if status >= 500 else "invalid_request_error")
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _shown(text: str) -> str:
    """A text as it can be sent: not too long, and with halves of surrogate pairs, which UTF-8 lacks, spelt out."""
    short = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return short.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Asked:
    """A request, read: the model, what makes each prompt, and how it is answered."""

    model: str
    encoders: list
    decoding: Any
    stops: list[str]
    chat: bool
    streamed: bool
    with_usage: bool  # at the end of a stream


def known(service: Service, name: object) -> str:
    """The name of a model, which there must be. Raises Refused."""
    if not isinstance(name, str) or name not in service.pool.names():
        there = ", ".join(service.pool.names()[:20])
        said = repr(name if not isinstance(name, str) else name[:60])[:80]
        raise Refused(f"The model {said} does not exist; available: {there}", "model", 404, "model_not_found")
    return name


async def fields_of(request: Request) -> dict:
    """The fields of a body, without those that are null. Raises Refused where it isn't a JSON object."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refused("the body must be application/json")  # which no foreign page can send unasked
    try:
        fields = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body isn't JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Refused("the body must be a JSON object")
    return {name: value for name, value in fields.items() if value is not None}


def read(service: Service, fields: dict, chat: bool) -> Asked:
    """What the fields ask for, of /chat/completions or of /completions. Raises Refused."""
    for name, value in fields.items():
        if name not in USED | IDLE | set(NEUTRAL):
            raise Refused(f"Unrecognized request argument supplied: {name}", name)
        if name in NEUTRAL and not any(_same(value, neutral) for neutral in NEUTRAL[name]):
            raise Refused(f"{name} isn't supported, other than as {json.dumps(NEUTRAL[name][0])}", name)
    model = known(service, fields.get("model"))
    encoders = _chat(service, fields, model) if chat else _prompts(service, fields)
    stops = fields.get("stop", [])
    stops = [stops] if isinstance(stops, str) else stops
    if not isinstance(stops, list) or len(stops) > STOPS or not all(isinstance(stop, str) and stop for stop in stops):
        raise Refused(f"stop must be text, or a list of up to {STOPS} texts", "stop")
    if sum(map(len, stops)) > STOP_CHARACTERS:
        raise Refused(f"stop has {STOP_CHARACTERS} characters at most", "stop")
    options = fields.get("stream_options", {})
    streamed = fields.get("stream", False)
    if not isinstance(streamed, bool):
        raise Refused("stream must be true or false", "stream")
    with_usage = isinstance(options, dict) and options.get("include_usage")
    return Asked(model, encoders, _decoding(service, fields, chat), stops, chat, streamed, bool(with_usage))


def _same(one: object, other: object) -> bool:
    """Whether two values of JSON are the same: true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _decoding(service: Service, fields: dict, chat: bool):
    from xllm.inference.engine import COLDEST, Decoding

    temperature, top_p = _number(fields, "temperature", 0, 2), _number(fields, "top_p", 0, 1)
    name = "max_completion_tokens" if "max_completion_tokens" in fields else "max_tokens"
    most = fields.get(name, min(service.limits.answer, 512 if chat else SHORT))
    if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= service.limits.answer:
        raise Refused(f"{name} must be a whole number from 1 to {service.limits.answer}", name)
    if top_p == 0 or (temperature is None and top_p is None) or (temperature is not None and temperature < COLDEST):
        return Decoding(most)
    if "seed" in fields:
        raise Refused("seed isn't supported where answers are drawn; at temperature 0 they are always the same", "seed")
    return Decoding(most, do_sample=True, temperature=temperature, top_p=top_p)


def _number(fields: dict, name: str, least: float, most: float) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise Refused(f"{name} must be a number from {least} to {most}", name)
    return value


def _chat(service: Service, fields: dict, model: str) -> list:
    given = fields.get("messages")
    if not isinstance(given, list) or not given:
        raise Refused("messages must be a list with at least one message", "messages")
    if len(given) > MESSAGES:
        raise Refused(f"there are {len(given)} messages; {MESSAGES} at most", "messages")
    messages = [_message(message) for message in given]
    if messages[-1]["role"] != "user":
        raise Refused("the last of the messages must be the user's", "messages")
    _check_text(service, *(message["content"] for message in messages), param="messages")

    def encode(engine) -> list[int]:
        source = service.pool.source(model)
        template = conversation.template_for(conversation.OWN, source, engine.tokenizer)
        return conversation.encode(messages, template, engine.tokenizer)

    return [encode]


def _message(message: object) -> dict[str, str]:
    role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
    role = "system" if role == "developer" else role
    if role not in ("system", "user", "assistant"):
        raise Refused("a message has the role system, user or assistant", "messages")
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str):
        raise Refused("the content of a message must be text", "messages")
    return {"role": role, "content": content}


def _prompts(service: Service, fields: dict) -> list:
    given = fields.get("prompt")
    prompts = [given] if isinstance(given, str) else given
    if not isinstance(prompts, list) or not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise Refused("prompt must be text, or a list of texts", "prompt")
    if len(prompts) > PROMPTS:
        raise Refused(f"there are {len(prompts)} prompts; {PROMPTS} at most in a request", "prompt")
    for prompt in prompts:
        _check_text(service, prompt, param="prompt")
    return [lambda engine, prompt=prompt: conversation.encode_text(prompt, engine.tokenizer) for prompt in prompts]


def _check_text(service: Service, *texts: str, param: str) -> None:
    try:
        service.check_text(*texts)
    except XllmError as error:
        raise as_refused(error, param) from None


def as_refused(error: XllmError, param: str | None = None) -> Refused:
    """What a mistake of the user, or too many of them, is to OpenAI's clients."""
    if isinstance(error, TooLong):
        return Refused(str(error), param, 400, "context_length_exceeded")
    if isinstance(error, Unavailable):
        return Refused(str(error), None, 503)
    if isinstance(error, Full):
        return Refused(str(error), None, 429, "rate_limit_exceeded")
    return Refused(str(error), param)
