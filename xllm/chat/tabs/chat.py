"""The tab Chat: several turns with one model, kept in the browser."""

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from xllm import languages
from xllm.chat import conversation
from xllm.chat.service import Service
from xllm.chat.tabs import status_line
from xllm.chat.tabs.controls import PRIVATE, decoding, export, stops
from xllm.chat.tabs.examples import PROMPTS
from xllm.chat.tabs.history import History, as_it_is, changed, find, left, new_id, plain
from xllm.errors import XllmError

UNCHANGED = (gr.skip(), gr.skip())  # of the history's change, and the conversation's id


def build(service: Service, page: gr.Blocks, model: gr.Dropdown, settings: list) -> None:
    """Lay the tab out, within the page's tab of that name."""
    chatbot = gr.Chatbot(
        label="Conversation",
        height="48vh",
        editable="user",
        buttons=["copy", "copy_all"],
        allow_tags=False,
        feedback_options=None,
        elem_id="conversation",
        examples=[{"text": "\n\n".join(filter(None, prompt))} for prompt in PROMPTS.values()],
    )
    below = gr.HTML(elem_id="chat-line")
    with gr.Row():
        message = gr.Textbox(
            label="Message", lines=1, max_lines=8, scale=8, min_width=280, autofocus=True, elem_id="message"
        )
        send = gr.Button("Send", variant="primary", min_width=80)
        stop = gr.Button("Stop", variant="stop", min_width=80)
    with gr.Row():
        history = History()
        new = gr.Button("New", min_width=80)
        clear = gr.Button("Delete", min_width=80)
    export("Each turn is a record.", _lines, chatbot)

    turns = _Turns(service)
    shows = [chatbot, message, below, history.change, history.current]
    shown_now = [history.current, chatbot]
    asked = [*shown_now, *settings, model]
    answering: dict[str, Any] = {"outputs": shows, "show_progress": "hidden", "concurrency_limit": None, **PRIVATE}
    events = [
        gr.on([send.click, message.submit], turns.say, [message, *asked], **answering),
        chatbot.example_select(turns.example, asked, **answering),
        chatbot.retry(turns.retry, asked, **answering),
        chatbot.edit(turns.edit, asked, **answering),
    ]
    stops(stop, service)
    # before the listeners that replace what is shown: the page takes listeners in their order, one after the other
    replacing = [history.choice.input, new.click, clear.click, chatbot.clear, chatbot.undo]
    gr.on(replacing, None, cancels=events, queue=False, **PRIVATE)
    chatbot.undo(_undo, shown_now, shows, queue=False, **PRIVATE)
    gr.on([clear.click, chatbot.clear], _delete, history.current, shows, queue=False, **PRIVATE)
    new.click(_begin, [history.kept, *shown_now], shows, queue=False, **PRIVATE)
    history.choice.input(_show, [history.kept, *shown_now, history.choice], shows, queue=False, **PRIVATE)
    history.connect(page, chatbot)


class _Turns:
    """What adds to a conversation: it as it grows, what the message box holds, the line below, and what the browser
    keeps, from the question on. What was there before stays there if there is no answer."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def say(
        self, request: gr.Request, message: str, current: str, messages: list, *chosen: object
    ) -> AsyncIterator[tuple]:
        before = plain(messages)
        if languages.blank(message):
            yield as_it_is(before), gr.skip(), status_line.problem("Write a message first."), *UNCHANGED
            return
        asked = [*before, {"role": "user", "content": message}]
        yield as_it_is(asked), "", "", *UNCHANGED  # only now: by the next step something else may be in the box
        async for step in self._go_on(request, asked, before, message, current, chosen):
            yield step

    async def example(
        self, data: gr.SelectData, request: gr.Request, current: str, messages: list, *chosen: object
    ) -> AsyncIterator[tuple]:
        before = plain(messages)
        asked = [*before, {"role": "user", "content": data.value["text"]}]
        async for step in self._go_on(request, asked, before, gr.skip(), current, chosen):
            yield step

    async def retry(
        self, data: gr.RetryData, request: gr.Request, current: str, messages: list, *chosen: object
    ) -> AsyncIterator[tuple]:
        before = plain(messages)
        async for step in self._go_on(request, before[: data.index + 1], before, gr.skip(), current, chosen):
            yield step

    async def edit(
        self, data: gr.EditData, request: gr.Request, current: str, messages: list, *chosen: object
    ) -> AsyncIterator[tuple]:
        # the page has put the new text into its own copy already
        before = plain(messages)
        before[data.index]["content"] = data.previous_value
        asked = [*before[: data.index], {"role": "user", "content": data.value}]
        async for step in self._go_on(request, asked, before, gr.skip(), current, chosen):
            yield step

    async def _go_on(
        self,
        request: gr.Request,
        messages: list,
        before: list,
        unsent: object,  # for the message box if there is no answer
        current: str,  # the conversation's id as the answer begins, whatever is chosen later
        chosen: tuple,
    ) -> AsyncIterator[tuple]:
        template, *choice, model = chosen
        service, current = self.service, current or new_id()

        def encode(engine) -> list[int]:
            wording = conversation.template_for(template, service.pool.source(model), engine.tokenizer)
            return conversation.encode(messages, wording, engine.tokenizer)

        yield as_it_is(messages), gr.skip(), "", changed(current, messages), current
        try:
            service.check_text(*(message["content"] for message in messages))
            with service.stoppable(request.session_hash) as stop:
                async for answer in service.answer(model, encode, decoding(*choice), stop):
                    now = [*messages, {"role": "assistant", "content": answer.text}] if answer.text else messages
                    keeps = UNCHANGED if answer.end is None else (changed(current, now), current)
                    yield as_it_is(now), gr.skip(), status_line.line(answer), *keeps
        except XllmError as error:
            yield as_it_is(before), unsent, status_line.problem(str(error)), changed(current, before), current


def _lines(messages: list) -> str:
    records = conversation.records(plain(messages))
    if not records:
        raise gr.Error("There is nothing to export: chat first.", print_exception=False)
    return conversation.lines(records)


def _undo(data: gr.UndoData, current: str, messages: list) -> tuple:
    said = plain(messages)
    rest = said[: data.index]
    return as_it_is(rest), said[data.index]["content"], "", changed(current, rest), current


def _delete(current: str) -> tuple:
    return [], "", "", changed(current, []), ""


def _begin(kept: list[dict], current: str, messages: list) -> tuple:
    return [], "", "", left(kept, current, plain(messages)), ""


def _show(kept: list[dict], current: str, messages: list, wanted: str) -> tuple:
    chosen = find(kept, wanted)
    return as_it_is(chosen), "", "", left(kept, current, plain(messages)), wanted if chosen else ""
