"""The chat page: a model, how it answers, and four tabs."""

from collections.abc import AsyncIterator

import gradio as gr

from xllm.chat.service import Service
from xllm.chat.tabs import browse, chat, compare, instruct, status_line
from xllm.chat.tabs.controls import PRIVATE, settings
from xllm.errors import XllmError

INSTRUCT = "instruct"  # the tab in which a prompt can be tried
# right-to-left text is shown right-to-left, left-to-right text left-to-right, paragraph by paragraph
CSS = """
textarea, .bidi, #conversation .message :is(p, li, h1, h2, h3, h4, blockquote, td, th) {
  unicode-bidi: plaintext; text-align: start;
}
.bidi { white-space: pre-wrap; overflow-wrap: anywhere; }
.wrap-inner input { text-overflow: ellipsis; padding-inline-end: 1.5rem; }
@media (max-width: 480px) { .tab-wrapper .tab-container button { padding-inline: .6rem !important; } }
.side-by-side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: 1rem; }
#one ins { background: #fde8c8; color: #222; text-decoration: underline; }
#one del { color: #b42318; }
"""
# nothing on the page, whatever a model writes into it, may ask anything of another machine
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; form-action 'none'"
HEAD = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'


def build(service: Service) -> gr.Blocks:
    """The page of a service."""
    names = service.pool.names()
    with gr.Blocks(title=f"xllm · {names[0]}", analytics_enabled=False) as page:
        with gr.Row(equal_height=True):
            model = gr.Dropdown(names, value=names[0], label="Model", filterable=False, min_width=280, scale=2)
            with gr.Column(min_width=280):
                status = gr.HTML(elem_id="status")
        chosen = settings(service.limits)
        with gr.Tabs() as tabs:
            with gr.Tab("Chat"):
                chat.build(service, page, model, chosen)
            with gr.Tab("Instruct", id=INSTRUCT):
                boxes = instruct.build(service, model, chosen)
            with gr.Tab("Compare"):
                compare.build(service, page, chosen)
            with gr.Tab("Browse") as opened:
                browse.build(service, opened, boxes, tabs, INSTRUCT)
        follows = {"show_progress": "hidden", "concurrency_limit": None, **PRIVATE}
        page.load(lambda: gr.Dropdown(service.pool.names()), None, model, queue=False, **PRIVATE)
        gr.on([page.load, model.change], _Status(service).follow, model, status, **follows)
    return page


class _Status:
    def __init__(self, service: Service) -> None:
        self.service = service

    async def follow(self, model: str) -> AsyncIterator[str]:
        """How much of a model is in memory, until it is there, or has failed."""
        try:
            async for entry in self.service.pool.loading(model):
                yield status_line.loading(entry.share, model)
            yield status_line.problem(entry.problem) if entry.problem else status_line.ready(entry.engine)
        except XllmError as error:
            yield status_line.problem(str(error))
