"""Who may come in, and with how much: users and passwords, kept out of the command line, and what of gradio's server is
open at all."""

import asyncio
import base64
import os
import re
import secrets
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route

from xllm.errors import XllmError

if TYPE_CHECKING:
    import gradio as gr

# What the page, gradio's own clients and programs that call the page's endpoints ask for, as gradio writes its routes.
# All else is refused: what gradio serves beside (files of the machine, proxies, its editor, its run history), or will
# serve in a later release.
OPEN = {
    "/": ("GET", "HEAD"),  # the page; gradio itself asks with HEAD whether it is up
    "/assets/{path:path}": ("GET",),  # the page's code and styles
    "/static/{path:path}": ("GET",),
    "/theme.css": ("GET",),
    "/favicon.ico": ("GET",),
    "/manifest.json": ("GET",),
    "/robots.txt": ("GET",),
    "/config": ("GET",),
    "/login": ("POST",),
    "/logout": ("GET",),
    "/gradio_api/info": ("GET",),  # the endpoints and their arguments
    "/gradio_api/startup-events": ("GET",),  # by which gradio starts its queue
    "/gradio_api/heartbeat/{session_hash}": ("GET",),  # by which it learns that a page was closed
    "/gradio_api/queue/join": ("POST",),
    "/gradio_api/queue/data": ("GET",),
    "/gradio_api/run/{api_name}": ("POST",),
    "/gradio_api/call/{api_name}": ("POST",),
    "/gradio_api/call/{api_name}/{event_id}": ("GET",),
    "/gradio_api/cancel": ("POST",),
    "/gradio_api/reset": ("POST",),
}
# what whoever isn't logged in may ask for: the form in which to log in, and what it is made of
BEFORE_LOGIN = {
    *("/", "/theme.css", "/favicon.ico", "/robots.txt", "/config", "/login", "/logout"),
    "/gradio_api/startup-events",  # gradio itself asks for it as it starts
}
CODE = ("/assets/", "/static/")  # and what lies below these
API = "/v1"  # whose key is user:password
TRIES = 10  # wrong passwords from one address within a minute; then none is looked at until the minute is over
ADDRESSES = 10_000  # of which wrong passwords are remembered
PATIENCE = 30  # seconds in which a request must have come
HELD = 64 << 20  # bytes of all requests that are on their way
SECONDS = 1  # after an answer of the API, in which gradio has sent the last of it
LARGEST = 16 << 20  # bytes of a request; the page sends all the conversations that a browser keeps
LOCAL = ("127.0.0.1", "localhost", "[::1]")  # the hosts by which a page on the own machine is asked for
HOW = "--auth takes env:NAME, an environment variable, or a file, with user:password in each line"


def users(where: str) -> list[tuple[str, str]]:
    """The (user, password) pairs that `--auth` names. Raises XllmError, which never holds what may be a password."""
    if where.startswith("env:"):
        text = os.environ.get(where.removeprefix("env:"), "")
        if not text:
            raise XllmError(f"--auth: the environment has no {where.removeprefix('env:')}, or it is empty; {HOW}")
    else:
        try:
            text = Path(where).read_text(encoding="utf-8")
        except (OSError, ValueError):
            raise XllmError(f"--auth: there is no such file, or it can't be read; {HOW}") from None
    pairs = [tuple(line.strip().split(":", 1)) for line in text.splitlines() if line.strip()]
    names = [pair[0] for pair in pairs]
    if not pairs or not all(len(pair) == 2 and all(pair) for pair in pairs) or len(names) > len(set(names)):
        raise XllmError(f"--auth: what it names isn't user:password, each user once; {HOW}")
    return pairs


def app_settings(own: list[BaseRoute], host: str | None, pairs: list[tuple[str, str]]) -> dict:
    """What gradio's app is made with: our own routes, and what every request passes, in this order. `host` is that of
    a page for this machine alone, `pairs` are the users and passwords, if any."""
    guards = [
        Middleware(OwnSite, host=host),
        Middleware(Listed, own=tuple(own)),
        Middleware(Known, pairs=pairs),
        Middleware(Bounded),
    ]
    return {"routes": own, "middleware": guards}


async def _refuse(scope, receive, send, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
    """Answer a request with an error, to OpenAI's clients as OpenAI does."""
    body: dict[str, object] = {"detail": detail}
    if scope["path"].startswith(f"{API}/"):
        code = {401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(status)
        body = {"error": {"message": detail, "type": "invalid_request_error", "param": None, "code": code}}
    await JSONResponse(body, status_code=status, headers=headers)(scope, receive, send)


class Listed:
    """Middleware that refuses every request but those of our own routes and of gradio's that are listed as open; and
    all websockets, which nothing here uses."""

    def __init__(self, app, own: Sequence[BaseRoute]) -> None:
        self.app = app
        self.open = [*own, *(Route(path, _elsewhere, methods=methods) for path, methods in OPEN.items())]

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan" or self._is_open(scope):
            await self.app(scope, receive, send)
        else:
            await _refuse(scope, receive, send, 403, "this page doesn't serve that")

    def _is_open(self, scope) -> bool:
        return scope["type"] == "http" and any(route.matches(scope)[0] is Match.FULL for route in self.open)


async def _elsewhere(request: Request) -> Response:
    """Never called: the routes of OPEN tell paths apart, gradio's own answer."""
    raise NotImplementedError


def forget(request: "gr.Request") -> None:
    """Let go of a client's session once its answer is out: gradio keeps each for ever, the oldest making room, which
    may be that of an open page. It has no public way to end the session of a client without a heartbeat."""
    holder, session = request.request.app.state_holder, request.session_hash

    def drop() -> None:
        holder.session_data.pop(session, None)
        holder.time_last_used.pop(session, None)

    asyncio.get_running_loop().call_later(SECONDS, drop)


class OwnSite:
    """Middleware that refuses what other sites' pages ask in a visitor's browser: requests whose Origin isn't the host
    that they go to and, where the page is for this machine alone, those by another name of the host, to which a foreign
    site can have pointed its own name. Nor does an image in a conversation log its reader out, as fetching /logout
    does."""

    def __init__(self, app, host: str | None) -> None:
        """`host` is that of a page for this machine alone."""
        self.app, self.hosts = app, host and {host, *LOCAL}

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] in ("http", "websocket") and not self._is_own(scope["path"], Headers(scope=scope)):
            await _refuse(scope, receive, send, 403, "this page answers its own site alone")
        else:
            await self.app(scope, receive, send)

    def _is_own(self, path: str, headers: Headers) -> bool:
        if path.endswith("/logout") and "text/html" not in headers.get("accept", ""):
            return False
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.hosts and re.sub(r":\d+$", "", host) not in self.hosts:
            return False
        own = {host, headers.get("x-forwarded-host", "")} - {""}
        return origin is None or _netloc(origin) in own


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # http://[bad
        return None


class Known:
    """Middleware for a page with passwords: whoever isn't logged in gets the form for it and nothing else, and none of
    a body is read. Where too many passwords from an address are wrong, none is looked at for a while."""

    def __init__(self, app, pairs: list[tuple[str, str]]) -> None:
        self.app, self.pairs, self.tries = app, pairs, Tries()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or not self.pairs:
            await self.app(scope, receive, send)
            return
        path, header = scope["path"], Headers(scope=scope).get("authorization", "")
        address = (scope.get("client") or ("",))[0]
        asks_api, logs_in = path.startswith(f"{API}/"), path == "/login" and scope["method"] == "POST"
        if self.tries.are_too_many(address) and (asks_api or logs_in):
            detail = "too many wrong passwords from this address; try again in a minute"
            await _refuse(scope, receive, send, 429, detail, {"retry-after": "60"})
        elif asks_api and not lets_in(self.pairs, header):
            if header:
                self.tries.add(address)
            await _refuse(scope, receive, send, 401, "Incorrect API key; it is user:password")
        elif not (asks_api or _is_before_login(path) or _is_logged_in(scope)):
            await _refuse(scope, receive, send, 401, "not logged in")
        else:
            await self.app(scope, receive, self._watching(send, address) if logs_in else send)

    def _watching(self, send, address: str):
        """Count a login that gradio refuses."""

        async def watched(message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (400, 401):
                self.tries.add(address)
            await send(message)

        return watched


def _is_before_login(path: str) -> bool:
    return path in BEFORE_LOGIN or path.startswith(CODE)


def _is_logged_in(scope) -> bool:
    """Whether a request has a cookie that gradio gave at a login."""
    gradio, cookies = scope["app"], Request(scope).cookies
    names = (f"access-token-{gradio.cookie_id}", f"access-token-unsecure-{gradio.cookie_id}")
    return any(cookies.get(name) in gradio.tokens for name in names)


class Tries:
    """Wrong passwords of the last minute, by address."""

    def __init__(self) -> None:
        self._of: dict[str, deque[float]] = {}

    def add(self, address: str) -> None:
        """Count one more; the log is told where they become too many."""
        times = self._of.setdefault(address, deque(maxlen=TRIES))
        times.append(time.monotonic())
        if self.are_too_many(address):
            print(f"xllm: {TRIES} wrong passwords from {address} within a minute; it has to wait", file=sys.stderr)
        while len(self._of) > ADDRESSES:
            del self._of[next(iter(self._of))]

    def are_too_many(self, address: str) -> bool:
        """Whether no more are looked at now."""
        times = self._of.get(address, ())
        return len(times) == TRIES and times[0] > time.monotonic() - 60


class Bounded:
    """Middleware that takes no more than LARGEST bytes of a request, however they come, no more than HELD of all that
    are on their way, and none that takes longer than PATIENCE to come."""

    def __init__(self, app) -> None:
        self.app, self.held = app, 0

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, refusal = bytearray(), None
        try:
            with anyio.move_on_after(PATIENCE) as late:
                refusal = await self._take(body, Headers(scope=scope), receive)
        finally:
            self.held -= len(body)
        if late.cancelled_caught:
            refusal = 408, f"the request took longer than {PATIENCE} seconds"
        if refusal is not None:
            if refusal[0]:
                await _refuse(scope, receive, send, *refusal, headers={"connection": "close"})
            return
        whole = [{"type": "http.request", "body": bytes(body), "more_body": False}]
        body.clear()

        async def again():
            return whole.pop() if whole else await receive()

        await self.app(scope, again, send)

    async def _take(self, body: bytearray, headers: Headers, receive) -> tuple[int, str] | None:
        """Read a request into `body`; why it is refused, if it is, 0 where whoever asked has left."""
        told, more = headers.get("content-length", "0"), True
        too_large = 413, f"a request has {LARGEST} bytes at most"
        if not told.isdecimal() or int(told) > LARGEST:
            return too_large
        while more:
            if self.held > HELD:
                return 503, "too many requests are on their way; try again in a while"
            message = await receive()
            if message["type"] == "http.disconnect":
                return 0, ""
            piece = message.get("body", b"")
            body += piece
            self.held += len(piece)
            if len(body) > LARGEST:
                return too_large
            more = message.get("more_body", False)
        return None


def lets_in(pairs: list[tuple[str, str]], header: str) -> bool:
    """Whether an Authorization header holds one of the pairs: `Bearer user:password`, or HTTP's own Basic."""
    scheme, _, given = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True)
        except ValueError:  # no base64, or not even ASCII
            return False
    elif scheme.lower() == "bearer":
        given = given.encode("latin-1")  # as headers are decoded
    else:
        return False
    # all are compared, so that the time tells nothing
    return any([secrets.compare_digest(given, ":".join(pair).encode()) for pair in pairs])
