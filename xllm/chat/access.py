"""Who may come in: users and passwords, kept out of the command line, and what of the server stays closed to all."""

import base64
import binascii
import os
import secrets
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xllm.errors import XllmError

# the page has no files to hand out or to take, so the routes by which gradio does that are shut
CLOSED = ("file={path:path}", "file/{path:path}", "proxy={path:path}", "upload", "upload/")
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
    if not pairs or not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise XllmError(f"--auth: what it names isn't user:password; {HOW}")
    return pairs


def closed_routes() -> list[Route]:
    """Routes that come before gradio's own and refuse."""

    async def refuse(request: Request) -> Response:
        return JSONResponse({"detail": "this page serves and takes no files"}, status_code=403)

    return [Route(f"/gradio_api/{path}", refuse, methods=["GET", "HEAD", "POST"]) for path in CLOSED]


def lets_in(pairs: list[tuple[str, str]], header: str) -> bool:
    """Whether an Authorization header holds one of the pairs: `Bearer user:password`, or HTTP's own Basic."""
    scheme, _, given = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    # all are compared, so that the time tells nothing
    return any([secrets.compare_digest(given.encode(), ":".join(pair).encode()) for pair in pairs])
