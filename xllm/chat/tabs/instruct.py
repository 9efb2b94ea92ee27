"""The tab Instruct: an instruction and its input, as records have them, and the prompt that they become."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import gradio as gr

from xllm import languages
from xllm.chat import conversation
from xllm.chat.access import forget
from xllm.chat.service import Service
from xllm.chat.tabs import status_line
from xllm.chat.tabs.controls import PRIVATE, decoding, export, stops
from xllm.chat.tabs.examples import PROMPTS
from xllm.errors import XllmError

if TYPE_CHECKING:
    from xllm.inference.engine import Decoding


def build(service: Service, model: gr.Dropdown, settings: list) -> tuple[gr.Textbox, gr.Textbox]:
    """Lay the tab out, within the page's tab of that name; the boxes that another tab may fill."""
    with gr.Row():
        with gr.Column():
            instruction = gr.Textbox(label="Instruction", lines=3)
            text = gr.Textbox(label="Input", lines=5, placeholder="may stay empty")
            with gr.Row():
                send = gr.Button("Answer", variant="primary")
                stop = gr.Button("Stop", variant="stop")
        with gr.Column():
            output = gr.Textbox(label="Answer", lines=11, interactive=False, buttons=["copy"], elem_id="answer")
            below = gr.HTML(elem_id="answer-line")
    gr.Examples(
        [list(prompt) for prompt in PROMPTS.values()],
        [instruction, text],
        label="Examples",
        example_labels=[languages.name(code) for code in PROMPTS],
        examples_per_page=len(PROMPTS),
        api_visibility="private",
    )
    with gr.Accordion("The exact prompt", open=False):
        show = gr.Button("Show the prompt")
        prompt = gr.Textbox(label="What the model reads", lines=8, interactive=False, elem_id="prompt")
    answered = gr.State(None)  # the record that the last answer makes
    export("The last answer is a record, with what it answers.", _lines, answered)

    asked = [instruction, text, *settings, model]
    one = _One(service)
    gr.on(
        [send.click, instruction.submit],
        one.grow,
        asked,
        [output, below, answered],
        show_progress="hidden",
        concurrency_limit=None,
        **PRIVATE,
    )
    stops(stop, service)
    show.click(one.prompt, [instruction, text, settings[0], model], prompt, concurrency_limit=None, **PRIVATE)
    gr.api(one.api, api_name="answer", concurrency_limit=None)
    return instruction, text


def encoder(service: Service, instruction: str, text: str, template: str, model: str):
    """What makes the token ids of a prompt once the model is there. Raises XllmError where there is nothing to ask."""
    if languages.blank(instruction):
        raise XllmError("Write an instruction first.")
    service.check_text(instruction, text)

    def encode(engine) -> list[int]:
        wording = conversation.template_for(template, service.pool.source(model), engine.tokenizer)
        return conversation.encode_one(instruction, text, wording, engine.tokenizer)

    return encode


class _One:
    def __init__(self, service: Service) -> None:
        self.service = service

    async def grow(
        self, request: gr.Request, instruction: str, text: str, template: str, *chosen
    ) -> AsyncIterator[tuple]:
        """The growing answer, the line below, and the record that both make with what was asked."""
        *choice, model = chosen
        try:
            encode = encoder(self.service, instruction, text, template, model)
            with self.service.stoppable(request.session_hash) as stop:
                async for answer in self.service.answer(model, encode, decoding(*choice), stop):
                    record = {"instruction": instruction, "input": text, "output": answer.text}
                    yield answer.text, status_line.line(answer), record if answer.text else None
        except XllmError as error:
            yield "", status_line.problem(str(error)), None

    async def prompt(self, instruction: str, text: str, template: str, model: str) -> str:
        """The tokens of the prompt, as text with whatever stands for itself alone, such as <s>."""
        try:
            encode = encoder(self.service, instruction, text, template, model)
            engine = await self.service.pool.engine(model)
            return engine.tokenizer.decode(encode(engine), clean_up_tokenization_spaces=False)
        except XllmError as error:
            raise gr.Error(str(error), print_exception=False) from error

    async def api(
        self,
        request: gr.Request,
        instruction: str,
        input: str = "",
        template: str = conversation.OWN,
        max_new_tokens: int = 512,
        num_beams: int = 1,
        do_sample: bool = False,
        temperature: float = 0.7,
        top_p: float = 0.75,
        top_k: int = 40,
        model: str = "",
    ) -> str:  # of each that is yielded: gradio describes the endpoint by it
        """The growing answer of a model, the first of the page unless named, to an instruction and its input."""
        try:
            chosen = _chosen(max_new_tokens, num_beams, do_sample, temperature, top_p, top_k)
            if not all(isinstance(given, str) for given in (instruction, input, template, model)):
                raise XllmError("instruction, input, template and model must be text")
            model = model or self.service.pool.names()[0]
            encode = encoder(self.service, instruction, input, template, model)
            with self.service.stoppable(request.session_hash) as stop:
                async for answer in self.service.answer(model, encode, chosen, stop):
                    yield answer.text
        except XllmError as error:
            raise gr.Error(str(error), print_exception=False) from error
        finally:
            forget(request)


def _chosen(*choice: object) -> "Decoding":
    """The decoding that a request of any kind asks for. Raises XllmError."""
    try:
        if not isinstance(choice[2], bool):  # a text such as "no" would count as true
            raise TypeError(f"do_sample is {choice[2]!r}")
        return decoding(*choice)
    except (TypeError, ValueError, OverflowError) as error:
        raise XllmError(f"settings of another type than they should be: {error}") from error


def _lines(answered: dict[str, str] | None) -> str:
    if answered is None:
        raise gr.Error("There is nothing to export: answer first.", print_exception=False)
    return conversation.lines([answered])
