"""A judge's reply as plain text, without its thoughts, or why it is no verdict.

One that was cut, or ended in a thought, is none; neither is one with two verdicts that differ, such as the judge's own
and one that it quotes from an answer (`reply_scores`, `reply_answers`).
"""

import json
import unicodedata
from collections.abc import Iterator
from typing import Any

import regex

# finish_reason of servers for a reply that is whole; all others are reasons why it isn't
WHOLE = ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "completed")
AT_THE_LIMIT = ("length", "max_tokens", "max_length", "model_length")

THOUGHT, BROKEN = "it ends in a thought", "it ends in JSON"
TWO, NOTHING = "two verdicts", "no verdict"


class Unread(Exception):
    """Why a reply is no verdict."""


def said(reply: dict[str, Any]) -> str:
    """What a judge says in the end, without thoughts and decoration. Raises Unread for a reply that isn't whole."""
    unfinished = reply.get("finish_reason") or ("length" if reply.get("cut") else None)
    if unfinished:
        raise Unread(f"finish_reason {unfinished}")
    text = plain(_without_thoughts(reply["text"]))
    if text.count("{") > text.count("}"):
        raise Unread(BROKEN)
    return text


# --- thoughts

NAMES = r"(?:\w+:)?(?:think(?:ing)?|thoughts?|reasoning|analysis|reflection|scratchpad)"
CLOSED = regex.compile(  # by the tags and tokens of reasoning models; the first may have been part of the prompt
    rf"</{NAMES}>|◁/think▷|\[/think\]|<\|end_thinking\|>|<\|/(?:think(?:ing)?)\|>|<\|end_of_thought\|>|<unused95>"
    r"|<\|channel\|>final(?=<|\W)|\A\s*analysis(?-i:(?=\p{Lu}))(?s:.*)assistantfinal",
    regex.IGNORECASE,
)
OPENED = regex.compile(  # but where a judge speaks of such a tag, as of a thing in an answer
    rf"(?<![`\"'“‘])(?:<{NAMES}(?:\s[^<>\n]*)?>|◁think▷|\[THINK\])(?![`\"'”’]|\s+(?:tag|block|section|token|element))"
    r"|<\|(?:start_thinking|think(?:ing)?|begin_of_thought)\|>|<unused94>|<\|channel\|>(?:analysis|commentary)"
    r"|\A\s*analysis(?-i:(?=\p{Lu}))",
    regex.IGNORECASE,
)


def _without_thoughts(text: str) -> str:
    *_, last = [None, *CLOSED.finditer(text)]
    text = text[last.end() :] if last else text
    if OPENED.search(text):
        raise Unread(THOUGHT)
    return text


# --- decoration

TOKENS = regex.compile(  # a model's own, and what some put around the answer
    r"<\|[^|<>\n]*\|>|</s>|</?(?:final_)?(?:answer|response|verdict|solution|output|result)>", regex.IGNORECASE
)
BOXED = regex.compile(r"\\boxed\{(?:\\text\{)?([^{}]*)\}?\}")
MARKUP = regex.compile(r"[*`$]|\\[()\[\]]|(?<![^\W_])_+|_+(?![^\W_])|\p{Cf}")
SCALE = regex.compile(r"\((?!10\))[^()\n\d]*(?:1\s*(?:-|to|bis|à|a)\s*)?10[^()\n\d]*\)")  # of a heading: (out of 10)
SIGNS = {ord(dash): "-" for dash in "‐‑‒–—―−－"} | {ord("٫"): ".", ord("،"): ",", ord("⁄"): "/", ord("∕"): "/"}


def plain(text: str) -> str:
    """A text in a line's simplest form: ASCII's digits, signs and spaces, no Markdown, nothing that isn't seen."""
    text = unicodedata.normalize("NFC", "\n".join(text.splitlines()))
    text = MARKUP.sub("", BOXED.sub(r"\1", TOKENS.sub("\n", text)))
    text = "".join(map(_simple, text.translate(SIGNS)))
    return SCALE.sub("", text).strip()


def _simple(character: str) -> str:
    if character.isascii():
        return character
    if "\uff01" <= character <= "\uff5e":  # full-width
        return chr(ord(character) - 0xFEE0)
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    return " " if character.isspace() else character


# --- JSON


TRIES = 100  # at what isn't JSON, until the rest isn't taken for it


def json_in(text: str) -> Iterator[Any]:
    """What is JSON in a text: objects and lists, the outermost alone."""
    place, tries = 0, 0
    while (start := regex.search(r"[{\[]", text, pos=place)) and tries < TRIES:
        found = _decoded(text, start.start())
        if found:
            yield found[0]
        place, tries = (found[1], tries) if found else (start.end(), tries + 1)


def _decoded(text: str, place: int) -> tuple[Any, int] | None:
    try:
        return json.JSONDecoder().raw_decode(text, place)
    except (ValueError, RecursionError):
        return None
