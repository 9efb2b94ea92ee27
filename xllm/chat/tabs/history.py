"""The conversations that a browser keeps: [{"id": …, "messages": […]}, …], the latest first.

All tabs of the browser share its storage. So a tab hands over what changed, a conversation anew or, without messages,
one that is deleted, and the browser puts that into what is there by then.
"""

import uuid

import gradio as gr

from xllm.chat.tabs.controls import PRIVATE

KEPT = 30  # conversations in a browser
ROOM = 1_000_000  # characters of them all; browsers give a page about five million
TITLE = 40  # characters of a conversation's first message that name it
# in the browser: put a change, if there is one, into what is kept, and tell all that is kept then
KEEP = """(change) => {
  const key = "xllm-conversations-of-all-tabs";
  let kept = [];
  try { kept = JSON.parse(localStorage.getItem(key)) ?? []; } catch {}
  if (!change) return [kept];
  kept = kept.filter((one) => one.id !== change.id);
  if (change.messages.length) kept.unshift(change);
  while (kept.length > 1 && (kept.length > KEPT || JSON.stringify(kept).length > ROOM)) kept.pop();
  try { localStorage.setItem(key, JSON.stringify(kept)); } catch {}
  return [kept];
}""".replace("KEPT", str(KEPT)).replace("ROOM", str(ROOM))
Messages = list[dict[str, str]]


class History:
    """The components by which a tab tells what changed, and learns what is kept; all but `choice` are unseen. They are
    in the page, which sends the id together with the messages: it tells some choices twice, and a gr.State would be
    that of the next conversation by the second time."""

    def __init__(self) -> None:
        self.change = gr.JSON(visible=False)
        self.kept = gr.JSON([], visible=False)
        self.current = gr.Textbox(visible=False)  # the id of the conversation that is shown
        self.choice = gr.Dropdown([], label="Conversations in this browser", scale=8, min_width=280)

    def connect(self, page: gr.Blocks, chatbot: gr.Chatbot) -> None:
        """Keep what changes, and show the latest conversation when the page is opened."""
        self.change.change(None, self.change, self.kept, js=KEEP, **PRIVATE)
        named = [self.kept.change, self.current.change]
        gr.on(named, _choices, [self.kept, self.current], self.choice, queue=False, **PRIVATE)
        opened = page.load(None, None, self.kept, js=KEEP, **PRIVATE)
        opened.then(_latest, self.kept, [self.current, chatbot], show_progress="hidden", queue=False, **PRIVATE)


def new_id() -> str:
    return uuid.uuid4().hex


def changed(current: str, messages: Messages) -> dict:
    """A conversation as it is now; without messages it is deleted."""
    return {"id": current, "messages": messages}


def left(kept: list[dict], current: str, messages: Messages) -> object:
    """The change when a conversation is left: it is kept with as much of its last answer as there is."""
    now = changed(current or new_id(), messages)
    return now if messages and now not in kept else gr.skip()


def find(kept: list[dict], wanted: str) -> Messages:
    return next((one["messages"] for one in kept if one["id"] == wanted), [])


def _choices(kept: list[dict], current: str) -> gr.Dropdown:
    titles = [(" ".join(one["messages"][0]["content"].split())[:TITLE], one["id"]) for one in kept]
    return gr.Dropdown(titles, value=current if find(kept, current) else None)


def _latest(kept: list[dict]) -> tuple[str, Messages]:
    return (kept[0]["id"], as_it_is(kept[0]["messages"])) if kept else ("", [])


def as_it_is(messages: Messages) -> list[dict]:
    """Messages for a Chatbot, which would take indentation and tabs out of bare text."""
    return [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in messages]


def plain(messages: list[dict]) -> Messages:
    """The messages that a Chatbot hands over, with their text as `content`; what isn't text is left out."""

    def text(content: str | list) -> str:
        return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)

    return [{"role": message["role"], "content": text(message["content"])} for message in messages]
