"""The tab Chat: several turns with one model, kept in the browser."""

import json
import uuid
from collections.abc import AsyncIterator

import gradio as gr

from xllm.chat import conversation, shown
from xllm.chat.controls import PRIVATE, decoding, stops
from xllm.chat.examples import PROMPTS
from xllm.chat.service import Service
from xllm.errors import XllmError

KEPT = 30  # conversations in a browser
TITLE = 40  # characters of a conversation's first message that name it


def build(service: Service, page: gr.Blocks, model: gr.Dropdown, settings: list) -> None:
    """Lay the tab out, within the page's tab of that name."""
    current = gr.State("")  # the id of the conversation that is shown
    # in the browser's own storage; the page forgets nothing when the server starts anew, so the key is a constant
    kept = gr.BrowserState([], storage_key="xllm-conversations", secret="conversations")
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
        history = gr.Dropdown([], label="Conversations in this browser", scale=8, min_width=280)
        new = gr.Button("New", min_width=80)
        clear = gr.Button("Delete", min_width=80)
    _export(chatbot)

    turns = _Turns(service)
    shows, chosen = [chatbot, message, below], [*settings, model]
    answering = {"outputs": shows, "show_progress": "hidden", "concurrency_limit": None, **PRIVATE}
    events = [
        gr.on([send.click, message.submit], turns.say, [message, chatbot, *chosen], **answering),
        chatbot.example_select(turns.example, [chatbot, *chosen], **answering),
        chatbot.retry(turns.retry, [chatbot, *chosen], **answering),
        chatbot.edit(turns.edit, [chatbot, *chosen], **answering),
        chatbot.undo(_undo, chatbot, shows, queue=False, **PRIVATE),
    ]
    for event in events:
        event.then(_remember, [kept, current, chatbot], [kept, current, history], show_progress="hidden", **PRIVATE)
    stops(stop, service)
    gr.on(
        [clear.click, chatbot.clear], _delete, [kept, current], [kept, current, history, *shows], queue=False, **PRIVATE
    )
    new.click(_begin, kept, [current, history, *shows], queue=False, **PRIVATE)
    history.input(_show, [kept, history], [current, *shows], queue=False, **PRIVATE)
    page.load(_restore, kept, [current, history, chatbot], show_progress="hidden", **PRIVATE)


def plain(messages: list[dict]) -> list[dict[str, str]]:
    """The messages that a Chatbot hands over, with their text as `content`; what isn't text is left out."""

    def text(content: str | list) -> str:
        return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)

    return [{"role": message["role"], "content": text(message["content"])} for message in messages]


class _Turns:
    """What adds to a conversation: the growing conversation, what the message box holds, and the line below."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def say(self, request: gr.Request, message: str, messages: list, *chosen: object) -> AsyncIterator[tuple]:
        if not message.strip():
            yield messages, message, shown.problem("Write a message first.")
            return
        asked = [*plain(messages), {"role": "user", "content": message}]
        async for step in self._go_on(request, asked, chosen):
            yield step

    async def example(self, data: gr.SelectData, request: gr.Request, messages: list, *chosen) -> AsyncIterator[tuple]:
        asked = [*plain(messages), {"role": "user", "content": data.value["text"]}]
        async for step in self._go_on(request, asked, chosen):
            yield step

    async def retry(self, data: gr.RetryData, request: gr.Request, messages: list, *chosen) -> AsyncIterator[tuple]:
        async for step in self._go_on(request, plain(messages)[: data.index + 1], chosen):
            yield step

    async def edit(self, data: gr.EditData, request: gr.Request, messages: list, *chosen) -> AsyncIterator[tuple]:
        said = plain(messages)[: data.index]
        async for step in self._go_on(request, [*said, {"role": "user", "content": data.value}], chosen):
            yield step

    async def _go_on(self, request: gr.Request, messages: list, chosen: tuple) -> AsyncIterator[tuple]:
        template, *choice, model = chosen
        service = self.service

        def encode(engine) -> list[int]:
            wording = conversation.template_for(template, service.shelf.source(model), engine.tokenizer)
            return conversation.encode(messages, wording, engine.tokenizer)

        yield messages, "", ""
        try:
            service.check_text(*(message["content"] for message in messages))
            with service.stoppable(request.session_hash) as stop:
                async for answer in service.answer(model, encode, decoding(*choice), stop):
                    said = {"role": "assistant", "content": answer.text}
                    yield [*messages, said] if answer.text else messages, "", shown.line(answer)
        except XllmError as error:  # the message goes back to where it can be mended
            yield messages[:-1], messages[-1]["content"], shown.problem(str(error))


def _undo(data: gr.UndoData, messages: list) -> tuple:
    said = plain(messages)
    return said[: data.index], said[data.index]["content"], ""


def _export(chatbot: gr.Chatbot) -> None:
    with gr.Accordion("Export as training data", open=False):
        gr.Markdown(
            "Each turn is a record. Saved as `alpaca/alpaca_<language>.json` in a data root, this is read back by the "
            "mixture `alpaca_<language>`."
        )
        show = gr.Button("Show the records")
        records = gr.Code(language="json", label="Records", buttons=["copy", "download"], elem_id="records")
        show.click(_records, chatbot, records, queue=False, **PRIVATE)


def _records(messages: list) -> str:
    return json.dumps(conversation.records(plain(messages)), ensure_ascii=False, indent=2)


# what the browser keeps: [{"id": …, "messages": […]}, …], the latest first


def _choices(kept: list[dict]) -> list[tuple[str, str]]:
    return [(" ".join(one["messages"][0]["content"].split())[:TITLE], one["id"]) for one in kept]


def _remember(kept: list[dict], current: str, messages: list) -> tuple:
    current, others = current or uuid.uuid4().hex, [one for one in kept if one["id"] != current]
    kept = [{"id": current, "messages": plain(messages)}, *others][:KEPT] if messages else others
    return kept, current, gr.Dropdown(_choices(kept), value=current if messages else None)


def _delete(kept: list[dict], current: str) -> tuple:
    kept = [one for one in kept if one["id"] != current]
    return kept, "", gr.Dropdown(_choices(kept), value=None), [], "", ""


def _begin(kept: list[dict]) -> tuple:
    return "", gr.Dropdown(_choices(kept), value=None), [], "", ""


def _show(kept: list[dict], wanted: str) -> tuple:
    messages = next((one["messages"] for one in kept if one["id"] == wanted), [])
    return wanted if messages else "", messages, "", ""


def _restore(kept: list[dict]) -> tuple:
    if not kept:
        return "", gr.Dropdown([], value=None), []
    return kept[0]["id"], gr.Dropdown(_choices(kept), value=kept[0]["id"]), kept[0]["messages"]
