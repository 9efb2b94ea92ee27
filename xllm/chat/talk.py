"""The tab Chat: several turns with one model, kept in the browser."""

import json
import uuid
from collections.abc import AsyncIterator
from itertools import accumulate

import gradio as gr

from xllm.chat import conversation, shown
from xllm.chat.controls import PRIVATE, decoding, export, stops
from xllm.chat.examples import PROMPTS
from xllm.chat.service import Service
from xllm.errors import XllmError

KEPT = 30  # conversations in a browser
ROOM = 1 << 20  # characters of them all; a browser keeps about five million of a page, and they are enciphered there
TITLE = 40  # characters of a conversation's first message that name it
UNCHANGED = (gr.skip(), gr.skip(), gr.skip())  # of what the browser keeps, the conversation's id, and the list of them


def build(service: Service, page: gr.Blocks, model: gr.Dropdown, settings: list) -> None:
    """Lay the tab out, within the page's tab of that name."""
    # in the browser's own storage; the page forgets nothing when the server starts anew, so the key is a constant
    kept = gr.BrowserState([], storage_key="xllm-conversations", secret="conversations")
    # the id of the conversation that is shown; with the browser too, which sends it together with the messages, since
    # the page tells some choices twice, and a gr.State would be that of the next conversation by the second time
    current = gr.BrowserState("", storage_key="xllm-conversation", secret="conversations")
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
    export("Each turn is a record.", _lines, chatbot)

    turns = _Turns(service)
    shows, browser = [chatbot, message, below], [kept, current, history]
    asked = [kept, current, chatbot, *settings, model]
    answering = {"outputs": [*shows, *browser], "show_progress": "hidden", "concurrency_limit": None, **PRIVATE}
    events = [
        gr.on([send.click, message.submit], turns.say, [message, *asked], **answering),
        chatbot.example_select(turns.example, asked, **answering),
        chatbot.retry(turns.retry, asked, **answering),
        chatbot.edit(turns.edit, asked, **answering),
    ]
    stops(stop, service)
    # before the listeners that replace what is shown: the page takes listeners in their order, one after the other
    replacing = [history.input, new.click, clear.click, chatbot.clear, chatbot.undo]
    gr.on(replacing, None, cancels=events, queue=False, **PRIVATE)
    shown_now = [kept, current, chatbot]
    chatbot.undo(_undo, shown_now, [*shows, *browser], queue=False, **PRIVATE)
    gr.on([clear.click, chatbot.clear], _delete, [kept, current], [*shows, *browser], queue=False, **PRIVATE)
    new.click(_begin, shown_now, [*shows, *browser], queue=False, **PRIVATE)
    history.input(_show, [*shown_now, history], [*shows, *browser], queue=False, **PRIVATE)
    page.load(_restore, kept, [current, history, chatbot], show_progress="hidden", **PRIVATE)


def plain(messages: list[dict]) -> list[dict[str, str]]:
    """The messages that a Chatbot hands over, with their text as `content`; what isn't text is left out."""

    def text(content: str | list) -> str:
        return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)

    return [{"role": message["role"], "content": text(message["content"])} for message in messages]


class _Turns:
    """What adds to a conversation: it as it grows, what the message box holds, the line below, and what the browser
    keeps, which changes when an answer has ended. What was there before stays there if there is no answer."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def say(
        self, request: gr.Request, message: str, kept: list, current: str, messages: list, *chosen: object
    ) -> AsyncIterator[tuple]:
        before = plain(messages)
        if not message.strip():
            yield before, gr.skip(), shown.problem("Write a message first."), *UNCHANGED
            return
        asked = [*before, {"role": "user", "content": message}]
        yield asked, "", "", *UNCHANGED  # only now: by the next step something else may be in the box
        async for step in self._go_on(request, asked, before, message, kept, current, chosen):
            yield step

    async def example(
        self, data: gr.SelectData, request: gr.Request, kept: list, current: str, messages: list, *chosen: object
    ) -> AsyncIterator[tuple]:
        before = plain(messages)
        asked = [*before, {"role": "user", "content": data.value["text"]}]
        async for step in self._go_on(request, asked, before, gr.skip(), kept, current, chosen):
            yield step

    async def retry(
        self, data: gr.RetryData, request: gr.Request, kept: list, current: str, messages: list, *chosen: object
    ) -> AsyncIterator[tuple]:
        before = plain(messages)
        async for step in self._go_on(request, before[: data.index + 1], before, gr.skip(), kept, current, chosen):
            yield step

    async def edit(
        self, data: gr.EditData, request: gr.Request, kept: list, current: str, messages: list, *chosen: object
    ) -> AsyncIterator[tuple]:
        # the page has put the new text into its own copy already
        before = plain(messages)
        before[data.index]["content"] = data.previous_value
        asked = [*before[: data.index], {"role": "user", "content": data.value}]
        async for step in self._go_on(request, asked, before, gr.skip(), kept, current, chosen):
            yield step

    async def _go_on(
        self,
        request: gr.Request,
        messages: list,
        before: list,
        unsent: object,  # for the message box if there is no answer
        kept: list,
        current: str,  # the conversation's id as the answer begins, whatever is chosen later
        chosen: tuple,
    ) -> AsyncIterator[tuple]:
        template, *choice, model = chosen
        service = self.service

        def encode(engine) -> list[int]:
            wording = conversation.template_for(template, service.shelf.source(model), engine.tokenizer)
            return conversation.encode(messages, wording, engine.tokenizer)

        yield messages, gr.skip(), "", *UNCHANGED
        try:
            service.check_text(*(message["content"] for message in messages))
            with service.stoppable(request.session_hash) as stop:
                async for answer in service.answer(model, encode, decoding(*choice), stop):
                    now = [*messages, {"role": "assistant", "content": answer.text}] if answer.text else messages
                    keeps = UNCHANGED if answer.end is None else _remember(kept, current, now)
                    yield now, gr.skip(), shown.line(answer), *keeps
        except XllmError as error:
            yield before, unsent, shown.problem(str(error)), *UNCHANGED


def _undo(data: gr.UndoData, kept: list[dict], current: str, messages: list) -> tuple:
    said = plain(messages)
    rest = said[: data.index]
    return rest, said[data.index]["content"], "", *_remember(kept, current, rest)


def _lines(messages: list) -> str:
    records = conversation.records(plain(messages))
    if not records:
        raise gr.Error("There is nothing to export: chat first.", print_exception=False)
    return conversation.lines(records)


# what the browser keeps: [{"id": …, "messages": […]}, …], the latest first


def _choices(kept: list[dict]) -> list[tuple[str, str]]:
    return [(" ".join(one["messages"][0]["content"].split())[:TITLE], one["id"]) for one in kept]


def _remember(kept: list[dict], current: str, messages: list) -> tuple:
    current, others = current or uuid.uuid4().hex, [one for one in kept if one["id"] != current]
    kept = latest([{"id": current, "messages": plain(messages)}, *others]) if messages else others
    return kept, current, gr.Dropdown(_choices(kept), value=current if messages else None)


def latest(kept: list[dict]) -> list[dict]:
    """As many as there is room for, at least the first."""
    sizes = accumulate(len(json.dumps(one)) for one in kept)
    return [one for n, (one, size) in enumerate(zip(kept, sizes, strict=True)) if not n or (n < KEPT and size <= ROOM)]


def _left(kept: list[dict], current: str, messages: list) -> list[dict]:
    """What is kept when a conversation is left: that too, with as much of its last answer as there is."""
    if not messages or {"id": current, "messages": plain(messages)} in kept:
        return kept
    return _remember(kept, current, messages)[0]


def _delete(kept: list[dict], current: str) -> tuple:
    kept = [one for one in kept if one["id"] != current]
    return [], "", "", kept, "", gr.Dropdown(_choices(kept), value=None)


def _begin(kept: list[dict], current: str, messages: list) -> tuple:
    kept = _left(kept, current, messages)
    return [], "", "", kept, "", gr.Dropdown(_choices(kept), value=None)


def _show(kept: list[dict], current: str, messages: list, wanted: str) -> tuple:
    kept = _left(kept, current, messages)
    chosen = next((one["messages"] for one in kept if one["id"] == wanted), [])
    chosen_id = wanted if chosen else ""
    return chosen, "", "", kept, chosen_id, gr.Dropdown(_choices(kept), value=chosen_id or None)


def _restore(kept: list[dict]) -> tuple:
    if not kept:
        return "", gr.Dropdown([], value=None), []
    return kept[0]["id"], gr.Dropdown(_choices(kept), value=kept[0]["id"]), kept[0]["messages"]
