"""The chat page: python app.py MODEL [OTHER …]"""

import argparse
import ipaddress
import os
import sys

from xllm.errors import XllmError

SESSIONS = 1000  # browsers whose state is kept, a quarter of a MiB each; gradio would keep 10,000


def build(service):
    """The page (a gradio.Blocks) of an `xllm.chat.service.Service`."""
    from xllm.chat import page

    return page.build(service)


def main(argv: list[str] | None = None) -> int:
    """Serve the page until it is interrupted; the models load meanwhile."""
    try:
        serve(_parser().parse_args(argv))
    except XllmError as error:
        print("app: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise XllmError(f"{message}; see: {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python app.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="a folder, a name under model/, or a hub id")
    parser.add_argument("--host", default="127.0.0.1", help="the address to serve on (this machine alone: 127.0.0.1)")
    parser.add_argument("--port", type=_port, help="the port (the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="a public link, by way of gradio's own server")
    parser.add_argument("--auth", metavar="env:NAME|FILE", help="where user:password stands, one a line")
    parser.add_argument("--openai", action="store_true", help="serve OpenAI's API, too, at /v1")
    parser.add_argument("--max_prompt", type=_count, default=4096, help="tokens of a prompt, at most (4096)")
    parser.add_argument("--max_answer", type=_count, default=2048, help="tokens of an answer, at most (2048)")
    parser.add_argument("--at_once", type=_count, default=2, help="answers written at a time; others wait (2)")
    bits = parser.add_mutually_exclusive_group()
    bits.add_argument("--load_in_8bit", dest="bits", action="store_const", const=8, help="weights of 8 bits, on a GPU")
    bits.add_argument("--load_in_4bit", dest="bits", action="store_const", const=4, help="weights of 4 bits, on a GPU")
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a whole number, 1 or more")
    return int(text)


def _port(text: str) -> int:
    if _count(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} isn't a port, 1 to 65535")
    return int(text)


def serve(args: argparse.Namespace) -> None:
    """Serve the page. Raises XllmError for an unknown model, a port that is taken, or no passwords."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from xllm.chat.access import users
    from xllm.chat.model_pool import Shelf
    from xllm.chat.service import Limits, Service
    from xllm.models.load import check_bits

    pairs = users(args.auth) if args.auth else []
    shelf = Shelf(args.models, args.bits)
    if args.bits:
        check_bits(args.bits)
    if not pairs and (args.share or not _is_loopback(args.host)):
        print("app: anyone who reaches this page can use the models; --auth asks for a password", file=sys.stderr)
    service = Service(shelf, Limits(args.max_prompt, args.max_answer, args.at_once))
    for name in shelf.given:
        shelf.want(name)
    _launch(service, args, pairs)


def _launch(service, args: argparse.Namespace, pairs: list[tuple[str, str]]) -> None:
    import gradio as gr

    from xllm.chat import access, page

    host = f"[{args.host}]" if ":" in args.host else args.host  # as addresses of the web have IPv6
    routes = []
    if args.openai:
        from xllm.chat.openai import api

        routes.append(api.mount(service, pairs))
    alone = _is_loopback(args.host) and not args.share
    fonts = ["system-ui", "sans-serif"]  # the theme's own would be asked of a font server
    try:
        build(service).launch(
            server_name=host,
            server_port=args.port,
            share=args.share,
            auth=pairs or None,
            css=page.CSS,
            head=page.HEAD,
            theme=gr.themes.Default(font=fonts, font_mono=["monospace"]),
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            state_session_capacity=SESSIONS,
            ssr_mode=False,
            app_kwargs=access.app_settings(routes, host if alone else None),
        )
    except OSError as error:
        raise XllmError(f"cannot serve on {args.host}, port {args.port or '7860 to 7959'}: {error}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    sys.exit(main())
