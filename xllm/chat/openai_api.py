"""OpenAI's API for the models of the page: /v1/models, /v1/chat/completions and /v1/completions.

The fields are those of https://platform.openai.com/docs/api-reference; one that would change the answer and isn't
supported here is refused. Without a `temperature`, or with 0, answers are greedy. A model without a chat template is
asked by the template that it was tuned with, as in the tab Chat.

`transformers serve` doesn't do: it asks by chat templates alone, which models tuned on records don't have, and loads
whatever a request names.
"""

import json
import threading
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount

from xllm.chat import conversation
from xllm.chat.access import lets_in
from xllm.chat.service import Answer, Full, Service, TooLong, Unavailable
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
        super().__init__(message)
        self.status = status
        kind = kind or ("server_error" if status >= 500 else "invalid_request_error")
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


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


def mount(service: Service, pairs: list[tuple[str, str]]) -> Mount:
    """The routes below /v1, for those who have one of the (user, password) pairs as their API key where there are any:
    OPENAI_API_KEY=user:password."""

    async def authenticate(request: Request) -> None:
        if pairs and not lets_in(pairs, request.headers.get("authorization", "")):
            raise Refused("Incorrect API key; it is user:password", None, 401, "invalid_api_key")

    api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(authenticate)])

    @api.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return _refusal(error)

    @api.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:  # the server's log tells more
        return _refusal(Refused(f"the server failed: {type(error).__name__}", None, 500))

    @api.exception_handler(404)
    @api.exception_handler(405)
    async def elsewhere(request: Request, error) -> JSONResponse:
        return _refusal(Refused(f"there is no {request.method} {request.url.path}", None, error.status_code))

    @api.get("/models")
    async def models() -> dict:
        return {"object": "list", "data": [_model(name) for name in service.shelf.names()]}

    @api.get("/models/{name:path}")
    async def model(name: str) -> dict:
        return _model(_known(service, name))

    @api.post("/chat/completions")
    async def chat(request: Request):
        return await _respond(service, request, _read(service, await _fields(request), chat=True))

    @api.post("/completions")
    async def complete(request: Request):
        return await _respond(service, request, _read(service, await _fields(request), chat=False))

    return Mount("/v1", app=api)


def _refusal(error: Refused) -> JSONResponse:
    return JSONResponse(error.body, status_code=error.status)


def _model(name: str) -> dict:
    return {"id": name, "object": "model", "created": 0, "owned_by": "xllm"}


def _known(service: Service, name: object) -> str:
    if not isinstance(name, str) or name not in service.shelf.names():
        known = ", ".join(service.shelf.names()[:20])
        raise Refused(f"The model {name!r} does not exist; there are: {known}", "model", 404, "model_not_found")
    return name


async def _fields(request: Request) -> dict:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refused("the body must be application/json")  # which no foreign page can send unasked
    try:
        fields = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body isn't JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Refused("the body must be a JSON object")
    return {name: value for name, value in fields.items() if value is not None}


def _read(service: Service, fields: dict, chat: bool) -> Asked:
    for name, value in fields.items():
        if name not in USED | IDLE | set(NEUTRAL):
            raise Refused(f"Unrecognized request argument supplied: {name}", name)
        if name in NEUTRAL and value not in NEUTRAL[name]:
            raise Refused(f"{name} isn't supported, other than as {json.dumps(NEUTRAL[name][0])}", name)
    model = _known(service, fields.get("model"))
    encoders = _chat(service, fields, model) if chat else _prompts(service, fields)
    stops = fields.get("stop", [])
    stops = [stops] if isinstance(stops, str) else stops
    if not isinstance(stops, list) or len(stops) > STOPS or not all(isinstance(stop, str) and stop for stop in stops):
        raise Refused(f"stop must be text, or a list of up to {STOPS} texts", "stop")
    options = fields.get("stream_options", {})
    streamed = fields.get("stream", False)
    if not isinstance(streamed, bool):
        raise Refused("stream must be true or false", "stream")
    with_usage = isinstance(options, dict) and options.get("include_usage")
    return Asked(model, encoders, _decoding(service, fields, chat), stops, chat, streamed, bool(with_usage))


def _decoding(service: Service, fields: dict, chat: bool):
    from xllm.inference.generate import COLDEST, Decoding

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
    if value is not None and (not isinstance(value, (int, float)) or not least <= value <= most):
        raise Refused(f"{name} must be a number from {least} to {most}", name)
    return value


def _chat(service: Service, fields: dict, model: str) -> list:
    given = fields.get("messages")
    if not isinstance(given, list) or not given:
        raise Refused("messages must be a list with at least one message", "messages")
    messages = [_message(message) for message in given]
    if messages[-1]["role"] != "user":
        raise Refused("the last of the messages must be the user's", "messages")
    _check_text(service, *(message["content"] for message in messages), param="messages")

    def encode(engine) -> list[int]:
        source = service.shelf.source(model)
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
    for prompt in prompts:
        _check_text(service, prompt, param="prompt")
    return [
        lambda engine, prompt=prompt: conversation.encode_one(prompt, "", "raw", engine.tokenizer) for prompt in prompts
    ]


def _check_text(service: Service, *texts: str, param: str) -> None:
    try:
        service.check_text(*texts)
    except XllmError as error:
        raise _as_refused(error, param) from None


def _as_refused(error: XllmError, param: str | None = None) -> Refused:
    if isinstance(error, TooLong):
        return Refused(str(error), param, 400, "context_length_exceeded")
    if isinstance(error, Unavailable):
        return Refused(str(error), None, 503)
    if isinstance(error, Full):
        return Refused(str(error), None, 429, "rate_limit_exceeded")
    return Refused(str(error), param)


async def _respond(service: Service, request: Request, asked: Asked):
    """The answer, or the stream of it; what is wrong with the request is told before a stream begins."""
    answers = [_answers(service, asked, encode) for encode in asked.encoders]
    head = {
        "id": f"{'chatcmpl' if asked.chat else 'cmpl'}-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": asked.model,
    }
    try:
        if asked.streamed:
            first = await anext(answers[0])
            return StreamingResponse(_events(asked, head, first, answers), media_type="text/event-stream")
        done = [await _last(request, one) for one in answers]
    except XllmError as error:
        raise _as_refused(error, "messages" if asked.chat else "prompt") from None
    choices = [_choice(asked, number, answer.text, answer.end) for number, answer in enumerate(done)]
    kind = "chat.completion" if asked.chat else "text_completion"
    return {**head, "object": kind, "choices": choices, "usage": _usage(done)}


async def _last(request: Request, answers: AsyncIterator[Answer]) -> Answer:
    """The whole answer, unless whoever asked for it has gone away meanwhile: then it isn't written to its end."""
    async with aclosing(answers):
        async for answer in answers:
            last = answer
            if await request.is_disconnected():
                break
    return last


async def _answers(service: Service, asked: Asked, encode) -> AsyncIterator[Answer]:
    """An answer as it grows, up to a text that ends it; what may be the beginning of one is held back."""
    async with aclosing(service.answer(asked.model, encode, asked.decoding, threading.Event())) as answers:
        async for answer in answers:
            text, found = _cut(answer.text, asked.stops, answer.end is not None)
            yield replace(answer, text=text, end="stop" if found else answer.end)
            if found:
                return


def _cut(text: str, stops: list[str], over: bool) -> tuple[str, bool]:
    """The text before the first of the stops, and whether one was found."""
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    if found:
        return text[: min(found)], True
    held = 0
    if not over:
        ends = [size for stop in stops for size in range(1, len(stop)) if text.endswith(stop[:size])]
        held = max(ends, default=0)
    return text[: len(text) - held], False


def _choice(asked: Asked, number: int, text: str, end: str | None, streamed: bool = False) -> dict:
    reason = "stop" if end == "stopped" else end
    choice: dict[str, Any] = {"index": number, "finish_reason": reason, "logprobs": None}
    if not asked.chat:
        return {**choice, "text": text}
    if streamed:
        return {**choice, "delta": {"role": "assistant", "content": text} if text or not end else {}}
    return {**choice, "message": {"role": "assistant", "content": text, "refusal": None}}


def _usage(answers: list[Answer]) -> dict:
    prompt = sum(answer.prompt_tokens for answer in answers)
    written = sum(answer.tokens for answer in answers)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


async def _events(asked: Asked, head: dict, first: Answer, answers: list[AsyncIterator[Answer]]) -> AsyncIterator[str]:
    """The server-sent events of a stream: each what was added to an answer, at last [DONE]."""
    head = {**head, "object": "chat.completion.chunk" if asked.chat else "text_completion"}
    done: list[Answer] = []
    try:
        for number, one in enumerate(answers):
            sent, answer = "", first
            if number:
                answer = await anext(one)
            while True:
                if answer.end or answer.text != sent:
                    choice = _choice(asked, number, answer.text[len(sent) :], answer.end, streamed=True)
                    yield _event({**head, "choices": [choice]})
                    sent = answer.text
                if answer.end:
                    break
                answer = await anext(one)
            done.append(answer)
        if asked.with_usage:
            yield _event({**head, "choices": [], "usage": _usage(done)})
        yield "data: [DONE]\n\n"
    except XllmError as error:
        yield _event(_as_refused(error).body)
    finally:
        for one in answers:
            await one.aclose()


def _event(value: dict) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
