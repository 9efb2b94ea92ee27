"""OpenAI's API for the models of the page: /v1/models, /v1/chat/completions and /v1/completions.

`transformers serve` doesn't do: it asks by chat templates alone, which models tuned on records don't have, and loads
whatever a request names.
"""

import json
import threading
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount

from xllm.chat.access import API
from xllm.chat.openai.request import Asked, Refused, as_refused, fields_of, known, read
from xllm.chat.service import Answer, Service
from xllm.errors import XllmError

GONE = 499  # whoever asked has left, as nginx has it; nobody reads this


def mount(service: Service) -> Mount:
    """The routes below /v1. Who may ask for them is a matter of `access`."""
    api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

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
        return {"object": "list", "data": [_model(name) for name in service.pool.names()]}

    @api.get("/models/{name:path}")
    async def model(name: str) -> dict:
        return _model(known(service, name))

    @api.post("/chat/completions")
    async def chat(request: Request):
        return await _respond(service, request, read(service, await fields_of(request), chat=True))

    @api.post("/completions")
    async def complete(request: Request):
        return await _respond(service, request, read(service, await fields_of(request), chat=False))

    return Mount(API, app=api)


def _refusal(error: Refused) -> JSONResponse:
    return JSONResponse(error.body, status_code=error.status)


def _model(name: str) -> dict:
    return {"id": name, "object": "model", "created": 0, "owned_by": "xllm"}


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
        done = []
        for one in answers:
            done.append(await _last(request, one))
            if await request.is_disconnected():
                return Response(status_code=GONE)
    except XllmError as error:
        raise as_refused(error, "messages" if asked.chat else "prompt") from None
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
        yield _event(as_refused(error).body)
    finally:
        for one in answers:
            await one.aclose()


def _event(value: dict) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
