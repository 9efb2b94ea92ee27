"""Who may come in, and with how much: users and passwords, kept out of the command line, and what of the server stays
closed to all."""

import base64
import binascii
import os
import re
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xllm.errors import XllmError

# the page has no files to hand out or to take, so the routes by which gradio does that are shut
CLOSED = ("file={path:path}", "file/{path:path}", "proxy={path:path}", "custom_component/{path:path}")
CLOSED += ("stream/{path:path}", "vibe-edit", "undo-vibe-edit", "vibe-code", "upload", "upload_progress")
CLOSED += ("process_recording", "component_server", "deep_link")
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


def closed_routes() -> list[Route]:
    """Routes that come before gradio's own and refuse."""

    async def refuse(request: Request) -> Response:
        return JSONResponse({"detail": "this page serves and takes no files"}, status_code=403)

    paths = [f"/gradio_api/{path}{end}" for path in CLOSED for end in ("", "/")]
    return [Route(path, refuse, methods=["GET", "HEAD", "POST"]) for path in paths]


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
