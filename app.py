"""The chat page: python app.py MODEL [--host 127.0.0.1] [--port 7860]"""

import argparse
import os
import sys
import threading
from collections.abc import Callable, Iterator

from xllm.errors import XllmError

# right-to-left text is shown right-to-left, left-to-right text left-to-right, paragraph by paragraph
CSS = "textarea { unicode-bidi: plaintext; text-align: start; }"
LONGEST_ANSWER = 2048  # tokens


def build(engine, name: str, template: str = "alpaca"):
    """The page (a gradio.Blocks) that talks to `engine`, an `xllm.inference.generate.Engine`, called `name`."""
    import gradio as gr

    from xllm.prompts import TEMPLATES

    answer, stop = _handlers(engine)
    with gr.Blocks(title=f"xllm · {name}", analytics_enabled=False) as page:
        gr.Markdown(f"# {name}")
        with gr.Row():
            with gr.Column():
                instruction = gr.Textbox(label="Instruction", lines=3, autofocus=True)
                text = gr.Textbox(label="Input", lines=5, placeholder="may stay empty")
                with gr.Row():
                    send = gr.Button("Answer", variant="primary")
                    halt = gr.Button("Stop", variant="stop")
            output = gr.Textbox(label="Answer", lines=12, interactive=False, buttons=["copy"], elem_id="answer")
        with gr.Accordion("Settings", open=False):
            settings = [
                gr.Dropdown(sorted(TEMPLATES), value=template, label="Template"),
                gr.Slider(1, LONGEST_ANSWER, value=512, step=1, label="Longest answer, in tokens"),
                gr.Slider(1, 8, value=1, step=1, label="Beams (more than one: no streaming)"),
                gr.Checkbox(value=False, label="Sample (otherwise the likeliest answer)"),
                gr.Slider(0.05, 2, value=0.7, step=0.05, label="Temperature, when sampling"),
                gr.Slider(0.05, 1, value=0.75, step=0.05, label="Top p, when sampling"),
                gr.Slider(1, 200, value=40, step=1, label="Top k, when sampling"),
            ]
        gr.on([send.click, instruction.submit], answer, [instruction, text, *settings], output, api_name="answer")
        halt.click(stop, queue=False, api_visibility="private")
    return page


def _handlers(engine) -> tuple[Callable, Callable]:
    """What the page's two buttons do: a stream of growing answers, and the end of one."""
    import gradio as gr

    from xllm.inference.generate import Decoding, encode_prompts

    running: dict[str, threading.Event] = {}  # browser session → what stops its answer

    def answer(
        instruction: str,
        text: str,
        template: str,
        max_new_tokens: int,
        num_beams: int,
        do_sample: bool,
        temperature: float,
        top_p: float,
        top_k: int,
        request: gr.Request,
    ) -> Iterator[str]:
        if not instruction.strip():
            raise gr.Error("Write an instruction first.", print_exception=False)
        stop = running[request.session_hash] = threading.Event()
        sampling = {"temperature": temperature, "top_p": top_p, "top_k": int(top_k)} if do_sample else {}
        try:
            if not 1 <= max_new_tokens <= LONGEST_ANSWER:
                raise XllmError(f"an answer has 1 to {LONGEST_ANSWER} tokens, not {max_new_tokens}")
            decoding = Decoding(int(max_new_tokens), int(num_beams), do_sample, **sampling)
            [prompt] = encode_prompts([(instruction, text)], template, engine.tokenizer)
            yield ""
            yield from engine.stream(prompt, decoding, stop)
        except XllmError as error:
            raise gr.Error(str(error), print_exception=False) from error
        finally:
            running.pop(request.session_hash, None)

    def stop(request: gr.Request) -> None:
        if request.session_hash in running:
            running[request.session_hash].set()

    return answer, stop


def main(argv: list[str] | None = None) -> int:
    """Load the model and serve the page until it is interrupted."""
    parser = _Parser(prog="python app.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("model", help="a folder, a name under model/, or a hub id")
    parser.add_argument("--host", default="127.0.0.1", help="the address to serve on (this machine alone: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="the port (the first free one from 7860)")
    try:
        args = parser.parse_args(argv)
        serve(args.model, args.host, args.port)
    except XllmError as error:
        print(f"app: {error}", file=sys.stderr)
        return 2
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise XllmError(f"{message}; see: {self.prog} --help")


def serve(model: str, host: str, port: int | None) -> None:
    """Load a model and serve its page. Raises XllmError where there is no such model, or the port is taken."""
    from xllm import models

    source = models.find(model)
    template = models.template_of(model)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import gradio as gr

    from xllm.inference.generate import Engine

    page = build(Engine.load(source), models.short_name(model), template)
    fonts = ["system-ui", "sans-serif"]  # the theme's own would be asked of a font server
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=False,
            css=CSS,
            theme=gr.themes.Default(font=fonts, font_mono=["monospace"]),
            footer_links=[],
            ssr_mode=False,
        )
    except OSError as error:
        raise XllmError(f"cannot serve on {host}, port {port or '7860 to 7959'}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
