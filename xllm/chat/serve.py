"""`xllm chat`: serve the page, and OpenAI's API beside it."""

import ipaddress
import os
import sys
from typing import TYPE_CHECKING

from xllm.artifacts import model_folder
from xllm.chat import access
from xllm.chat.flags import ChatFlags
from xllm.errors import XllmError

if TYPE_CHECKING:
    from xllm.chat.service import Service

SESSIONS = 1000  # browsers whose state is kept, a quarter of a MiB each; gradio would keep 10,000


def chat(flags: ChatFlags) -> None:
    """Serve the page until it is interrupted; the models load meanwhile. Raises XllmError for an unknown model, a port
    that is taken, or no passwords."""
    if flags.load_in_8bit and flags.load_in_4bit:
        raise XllmError("--load_in_8bit and --load_in_4bit: it must be one of them")
    bits = 8 if flags.load_in_8bit else 4 if flags.load_in_4bit else None
    pairs = access.users(flags.auth) if flags.auth else []
    for name in flags.models:
        model_folder.find(name)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before gradio reads it
    # a mistake is told before these are imported, which takes seconds
    from xllm.chat.model_pool import ModelPool
    from xllm.chat.service import Limits, Service
    from xllm.models.load import check_bits

    pool = ModelPool(flags.models, bits)
    if bits:
        check_bits(bits)
    if not pairs and (flags.share or not _is_loopback(flags.host)):
        print("xllm: anyone who reaches this page can use the models; --auth asks for a password", file=sys.stderr)
    service = Service(pool, Limits(flags.max_prompt, flags.max_answer, flags.at_once))
    for name in pool.given:
        pool.want(name)
    _launch(service, flags, pairs)


def _launch(service: "Service", flags: ChatFlags, pairs: list[tuple[str, str]]) -> None:
    import gradio as gr

    from xllm.chat import page
    from xllm.chat.openai import api

    routes = [api.mount(service)] if flags.openai else []
    host = f"[{flags.host}]" if ":" in flags.host else flags.host  # as addresses of the web have IPv6
    alone = _is_loopback(flags.host) and not flags.share
    fonts = ["system-ui", "sans-serif"]  # the theme's own would be asked of a font server
    try:
        page.build(service).launch(
            server_name=host,
            server_port=flags.port,
            share=flags.share,
            auth=pairs or None,
            css=page.CSS,
            head=page.HEAD,
            theme=gr.themes.Default(font=fonts, font_mono=["monospace"]),
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            state_session_capacity=SESSIONS,
            ssr_mode=False,
            app_kwargs=access.app_settings(routes, host if alone else None, pairs),
        )
    except OSError as error:
        raise XllmError(f"cannot serve on {flags.host}, port {flags.port or '7860 to 7959'}: {error}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
