"""Who may come in, and with how much: users and passwords, kept out of the command line, and what of gradio's server is
open at all."""

import asyncio
import base64
import binascii
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

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


def app_settings(own: list[BaseRoute], host: str | None) -> dict:
    """What gradio's app is made with: our own routes, and what every request passes, in this order. `host` is that of
    a page for this machine alone."""
    guards = [Middleware(OwnSite, host=host), Middleware(Listed, own=tuple(own)), Middleware(Bounded)]
    return {"routes": own, "middleware": guards}


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
            response = JSONResponse({"detail": "this page doesn't serve that"}, status_code=403)
            await response(scope, receive, send)

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
            response = JSONResponse({"detail": "this page answers its own site alone"}, status_code=403)
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_own(self, path: str, headers: Headers) -> bool:
        if path.endswith("/logout") and "text/html" not in headers.get("accept", ""):
            return False
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.hosts and re.sub(r":\d+$", "", host) not in self.hosts:
            return False
        return origin is None or urlsplit(origin).netloc in (host, headers.get("x-forwarded-host"))


class Bounded:
    """Middleware that takes no more than LARGEST bytes of a request, however they come."""

    def __init__(self, app) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told, body, more = Headers(scope=scope).get("content-length", "0"), bytearray(), True
        while more and len(body) <= LARGEST and int(told) <= LARGEST:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if more or len(body) > LARGEST:
            response = JSONResponse({"detail": f"a request has {LARGEST} bytes at most"}, status_code=413)
            await response(scope, receive, send)
            return
        whole = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again():
            return whole.pop() if whole else await receive()

        await self.app(scope, again, send)


def lets_in(pairs: list[tuple[str, str]], header: str) -> bool:
    """Whether an Authorization header holds one of the pairs: `Bearer user:password`, or HTTP's own Basic."""
    scheme, _, given = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True)
        except binascii.Error:
            return False
    elif scheme.lower() == "bearer":
        given = given.encode("latin-1")  # as headers are decoded
    else:
        return False
    # all are compared, so that the time tells nothing
    return any([secrets.compare_digest(given, ":".join(pair).encode()) for pair in pairs])
