"""What the page says of an answer besides its text, as escaped HTML, and where text runs from right to left."""

import html
from typing import TYPE_CHECKING

from xllm import languages
from xllm.chat.service import Answer
from xllm.errors import XllmError

if TYPE_CHECKING:
    from xllm.inference.hf import HFEngine

SHORTEST = 8  # letters from which on a language can be told


def line(answer: Answer, with_speed: bool = True) -> str:
    """The line below an answer: its place in the queue or, once it is written, tokens, speed and language."""
    if answer.loading is not None:
        return loading(answer.loading)
    if answer.place:
        return words(f"waiting: number {answer.place} in the queue")
    parts = [f"{answer.tokens} tokens"]
    if with_speed:  # which may tell models apart that are to stay hidden, as may the length of the prompt
        parts += [f"{answer.speed:.1f} tokens/s", f"prompt: {answer.prompt_tokens} tokens"]
    if answer.end is None:
        return words(" · ".join([*parts, "writing …"]))
    if language := language_of(answer.text):
        parts.append(language)
    ends = {"length": "cut at the longest length", "stopped": "stopped"}
    return words(" · ".join([*parts, *filter(None, [ends.get(answer.end)])]))


def loading(share: float, name: str = "the model") -> str:
    """How much of a model is in memory."""
    percent = round(100 * share)
    return (
        f'<progress value="{percent}" max="100" aria-label="loading"></progress> '
        f"{html.escape(f'loading {name}: {percent} %')}"
    )


def problem(text: str) -> str:
    """What went wrong."""
    return f'<strong role="alert">{html.escape(text)}</strong>'


def language_of(text: str) -> str | None:
    """The name and code of the language that a text is in, and how sure that is; None where there is too little."""
    if sum(character.isalpha() for character in text) < SHORTEST:
        return None
    code, likely = languages.identify(text)
    try:
        name = languages.name(code)
    except XllmError:  # one that CLDR has no name for
        name = code
    return f"{name} ({code}, {likely:.0%})"


def words(text: str) -> str:
    """Plain words."""
    return f"<span>{html.escape(text)}</span>"


def ready(engine: "HFEngine") -> str:
    """Where and how a model computes."""
    dtype = str(engine.model.dtype).removeprefix("torch.")
    window = f", {engine.window} tokens" if engine.window else ""
    size = f"{engine.model.num_parameters() / 1e6:,.0f} million parameters"
    return words(f"ready: {size}{window}, {engine.model.device.type}, {dtype}")
