"""What the tabs have in common: how answers are chosen, the end of one, and its way into training data."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from xllm.chat.conversation import NAMES, OWN
from xllm.chat.service import Limits, Service

if TYPE_CHECKING:
    from xllm.inference.engine import Decoding

PRIVATE: dict[str, Any] = {"api_visibility": "private"}  # of what the page does for itself
# the browser makes the file itself: the page serves none
SAVE = """(text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text.trimEnd() + "\\n"], {type: "application/jsonl"}));
  link.download = "alpaca.jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}"""
LENGTH = 512  # tokens of an answer, unless told otherwise


def settings(limits: Limits) -> list:
    """The components, in the order in which `decoding` takes their values after the template."""
    with gr.Accordion("Settings", open=False):
        with gr.Row():
            template = gr.Dropdown(list(NAMES), value=OWN, label="Template")
            length = gr.Slider(
                1, limits.answer, value=min(LENGTH, limits.answer), step=1, label="Longest answer, in tokens"
            )
            beams = gr.Slider(1, limits.beams, value=1, step=1, label="Beams (more than one: no streaming)")
        sample = gr.Checkbox(value=False, label="Sample (otherwise the likeliest answer)")
        with gr.Row(visible=False) as row:
            temperature = gr.Slider(0.05, 2, value=0.7, step=0.05, label="Temperature")
            top_p = gr.Slider(0.05, 1, value=0.75, step=0.05, label="Top p")
            top_k = gr.Slider(1, 200, value=40, step=1, label="Top k")
        sample.change(lambda on: gr.Row(visible=on), sample, row, queue=False, **PRIVATE)
    return [template, length, beams, sample, temperature, top_p, top_k]


def decoding(
    max_new_tokens: int, num_beams: int, do_sample: bool, temperature: float, top_p: float, top_k: int
) -> "Decoding":
    """The decoding that the settings describe; what is for sampling alone counts only then. Raises XllmError."""
    from xllm.inference.engine import Decoding

    sampling = {"temperature": temperature, "top_p": top_p, "top_k": int(top_k)} if do_sample else {}
    return Decoding(int(max_new_tokens), int(num_beams), do_sample, **sampling)


def stops(button: gr.Button, service: Service) -> None:
    """Let a button end the answers of its session, those that wait too."""

    def stop(request: gr.Request) -> None:
        service.stop(request.session_hash)

    button.click(stop, queue=False, **PRIVATE)


def export(what: str, lines: Callable[..., str], source: gr.components.Component) -> None:
    """Let records be shown and saved: `lines` makes them of what `source` holds."""
    with gr.Accordion("Export as training data", open=False):
        gr.Markdown(
            f"{what} Saved as `alpaca/alpaca_<language>.jsonl` in a data root, this is read back by the mixture "
            "`alpaca_<language>`."
        )
        with gr.Row():
            show = gr.Button("Show the records")
            save = gr.Button("Download")
        shown = gr.Code(language="json", label="Records", buttons=["copy"], elem_classes="records")
    quiet: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}  # a message tells what is wrong
    show.click(lines, source, shown, **quiet)
    save.click(lines, source, shown, **quiet).success(None, shown, None, js=SAVE, **PRIVATE)
