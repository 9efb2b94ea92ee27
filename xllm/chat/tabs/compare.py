"""The tab Compare: the same prompt to several models side by side, and a vote on their answers."""

import asyncio
import random
from collections.abc import AsyncIterator

import gradio as gr

from xllm.artifacts import votes
from xllm.chat.model_pool import BEAT
from xllm.chat.service import Answer, Service
from xllm.chat.tabs import status_line
from xllm.chat.tabs.controls import PRIVATE, decoding, stops
from xllm.chat.tabs.instruct import encoder
from xllm.errors import XllmError

MOST = 4  # models at a time
PLACES = {2: ("Left", "Right"), 3: ("Left", "Middle", "Right"), 4: ("First", "Second", "Third", "Fourth")}


def build(service: Service, page: gr.Blocks, settings: list) -> None:
    """Lay the tab out, within the page's tab of that name."""
    names = service.pool.names()
    with gr.Row():
        models = gr.Dropdown(names, value=names[:2], multiselect=True, max_choices=MOST, label="Models, left to right")
        with gr.Column(min_width=240):
            hidden = gr.Checkbox(label="Hide which is which until the vote")
            together = gr.Checkbox(value=True, label="All at once (otherwise in turn)")
    with gr.Row():
        instruction = gr.Textbox(label="Instruction", lines=2, elem_id="compare-instruction")
        text = gr.Textbox(label="Input", lines=2, placeholder="may stay empty")
    with gr.Row():
        send = gr.Button("Compare", variant="primary")
        stop = gr.Button("Stop", variant="stop")
    problem = gr.HTML(elem_id="compare-line")
    with gr.Row():
        columns, boxes, lines = zip(*map(_column, range(MOST)), strict=True)
    with gr.Row():
        vote = gr.Radio([], label="Which is better?", interactive=False, elem_id="vote", scale=4)
        cast = gr.Button("Vote", interactive=False, min_width=80)
    open_ = gr.State(None)  # the comparison that may be voted on

    outputs = [problem, vote, cast, open_, *columns, *boxes, *lines]
    asked = [models, hidden, together, instruction, text, *settings]
    run = _Comparing(service).run
    gr.on(
        [send.click, instruction.submit], run, asked, outputs, show_progress="hidden", concurrency_limit=None, **PRIVATE
    )
    stops(stop, service)
    cast.click(_vote, [open_, vote], [problem, vote, cast, open_, *boxes], queue=False, **PRIVATE)
    page.load(lambda: gr.Dropdown(service.pool.names()), None, models, queue=False, **PRIVATE)


def _column(number: int) -> tuple[gr.Column, gr.Textbox, gr.HTML]:
    with gr.Column(min_width=260, visible=number < 2) as column:
        box = gr.Textbox(label="Answer", lines=10, interactive=False, elem_id=f"answer-{number}")
        return column, box, gr.HTML(elem_id=f"line-{number}")


class _Comparing:
    def __init__(self, service: Service) -> None:
        self.service = service

    async def run(
        self,
        request: gr.Request,
        models: list[str],
        hidden: bool,
        together: bool,
        instruction: str,
        text: str,
        template: str,
        *choice,
    ) -> AsyncIterator[list]:
        """The growing answers in all columns; at the end a comparison to vote on, unless one was stopped or failed."""
        try:
            if not 2 <= len(models) == len(set(models)) <= MOST:
                raise XllmError(f"Choose 2 to {MOST} models, each once.")
            if hidden:
                models = random.sample(models, len(models))
            chosen = decoding(*choice)
            encoders = [encoder(self.service, instruction, text, template, model) for model in models]
        except XllmError as error:
            yield _outputs(status_line.problem(str(error)))
            return
        asked = {"instruction": instruction, "input": text, "template": template, "models": models}
        with self.service.stoppable(request.session_hash) as stop:
            streams = [
                self.service.answer(model, encode, chosen, stop) for model, encode in zip(models, encoders, strict=True)
            ]
            async for answers in _side_by_side(streams, together):
                yield _outputs("", _columns(models, hidden, answers))
        if all(isinstance(answer, Answer) and answer.end in ("stop", "length") for answer in answers):
            comparison = {**asked, "answers": [answer.text for answer in answers], "hidden": hidden}
            yield _outputs("", _columns(models, hidden, answers), comparison)


async def _side_by_side(
    streams: list[AsyncIterator[Answer]], together: bool
) -> AsyncIterator[list[Answer | XllmError]]:
    """How it stands with every stream, several times a second; one that fails leaves the others alone."""
    states: list[Answer | XllmError] = [Answer() for _ in streams]

    async def drain(number: int) -> None:
        try:
            async for answer in streams[number]:
                states[number] = answer
        except XllmError as error:
            states[number] = error

    async def in_turn() -> None:
        for number in range(len(streams)):
            await drain(number)

    works = [drain(number) for number in range(len(streams))] if together else [in_turn()]
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        while not all(task.done() for task in tasks):
            yield list(states)
            await asyncio.wait(tasks, timeout=BEAT, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            task.result()  # which raises what nobody expected
        yield list(states)
    finally:
        for task in tasks:
            task.cancel()


def _columns(models: list[str], hidden: bool, answers: list[Answer | XllmError]) -> list:
    """The updates of the columns, of the boxes in them, and of the lines below these."""
    titles = [f"Model {'ABCD'[number]}" for number in range(len(models))] if hidden else models
    boxes, lines = [], []
    for title, answer in zip(titles, answers, strict=True):
        failed = isinstance(answer, XllmError)
        boxes.append(gr.Textbox("" if failed else answer.text, label=title))
        lines.append(status_line.problem(str(answer)) if failed else status_line.line(answer, with_speed=not hidden))
    rest = MOST - len(models)
    seen = [gr.Column(visible=number < len(models)) for number in range(MOST)]
    return [*seen, *boxes, *[""] * rest, *lines, *[""] * rest]


def _outputs(problem: str, columns: list | None = None, comparison: dict | None = None) -> list:
    columns = columns or [gr.skip()] * (3 * MOST)
    if comparison is None:
        return [problem, gr.Radio([], value=None, interactive=False), gr.Button(interactive=False), None, *columns]
    places = PLACES[len(comparison["models"])]
    bad = "Both bad" if len(places) == 2 else "All bad"
    choices = [
        *((place, str(number)) for number, place in enumerate(places)),
        ("Tie", votes.TIE),
        (bad, votes.BOTH_BAD),
    ]
    radio = gr.Radio(choices, value=None, interactive=True)
    return [problem, radio, gr.Button(interactive=True), comparison, *columns]


def _vote(comparison: dict | None, choice: str | None) -> list:
    """Write the vote down, and tell which model is which."""
    boxes = [gr.skip()] * MOST
    if comparison is None or choice is None:
        text = "Choose first." if comparison else "There is nothing to vote on: compare first."
        return [status_line.problem(text), gr.skip(), gr.skip(), comparison, *boxes]
    models = comparison["models"]
    vote = models[int(choice)] if choice not in (votes.TIE, votes.BOTH_BAD) else choice
    try:
        votes.cast(vote, comparison)
    except XllmError as error:
        return [status_line.problem(str(error)), gr.skip(), gr.skip(), comparison, *boxes]
    boxes[: len(models)] = [gr.Textbox(label=model) for model in models]
    return [
        status_line.words(f"Thank you: {vote}"),
        gr.Radio(interactive=False),
        gr.Button(interactive=False),
        None,
        *boxes,
    ]
