"""Special tokens that a model's folder names by empty texts, as the first conversions of LLaMA do.

`"bos_token": ""` in tokenizer_config.json, or in special_tokens_map.json, which wins over it, makes transformers look
an empty text up until Python's stack is full.
"""

import sys
from functools import cache
from pathlib import Path
from typing import Any

from xllm.files import read_json

CONFIG, MAP = "tokenizer_config.json", "special_tokens_map.json"
LLAMA = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
OTHERS = ("pad_token", "cls_token", "sep_token", "mask_token")  # which a model can do without
LISTS = ("additional_special_tokens", "extra_special_tokens")


def empty(source: str) -> dict[str, str]:
    """The special tokens that are empty, each with the file that says so."""
    found = {}
    for name in (*LLAMA, *OTHERS):
        given = [(_text(settings[name]), file) for file, settings in _files(source).items() if name in settings]
        if given and not any(text for text, _ in given):
            found[name] = given[0][1]
        elif any(text == "" for text, _ in given):  # and in the other file it isn't
            found[name] = next(file for text, file in given if text == "")
    return found


def settings(source: str, is_llama: bool) -> dict[str, Any]:
    """What takes the place of the empty ones, as arguments of `from_pretrained`: what the other file has, else LLaMA's
    own for LLaMA; what a model can do without is left out. It is told."""
    files = _files(source)
    found: dict[str, Any] = {}
    for name in empty(source):
        texts = [_text(settings[name]) for settings in files.values() if name in settings]
        by_purpose = "" not in texts and name != "eos_token" and not from_sentencepiece(source)  # null, as many have
        if any(texts):
            found[name] = next(filter(None, texts))
        elif name in LLAMA and is_llama and not by_purpose:
            found[name] = LLAMA[name]
        elif name in OTHERS and "" in texts:
            found[name] = None
    if found:
        taken = ", ".join(f"{name} {token or 'none'}" for name, token in found.items())
        places = " and ".join(dict.fromkeys(empty(source).values()))
        _say(f"{source} has empty special tokens in {places}; taken instead: {taken}")
    for name in LISTS:
        for listed in (settings.get(name) for settings in files.values()):
            if isinstance(listed, list) and not all(map(_text, listed)):
                found["additional_special_tokens"] = list(filter(None, map(_text, listed)))
    return found


def names_llama(source: str) -> bool:
    """Whether a folder says that its tokenizer is LLaMA's: by its class, in any spelling, or by its model's type where
    it has LLaMA's sentencepiece file and names no class."""
    said = [str(settings["tokenizer_class"]) for settings in _files(source).values() if settings.get("tokenizer_class")]
    if said:
        return any(name.lower().startswith("llamatokenizer") for name in said)
    return from_sentencepiece(source) and (_read(source, "config.json") or {}).get("model_type") == "llama"


def from_sentencepiece(source: str) -> bool:
    """Whether a tokenizer has to be made of a sentencepiece file."""
    return _path(source, "tokenizer.json") is None and _path(source, "tokenizer.model") is not None


def _text(token: Any) -> str | None:
    """The text of a token, which may be a dict that describes it; None for null."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _files(source: str) -> dict[str, dict[str, Any]]:
    """The two files that name special tokens, the one that wins first, as far as there are any."""
    return {name: content for name in (MAP, CONFIG) if (content := _read(source, name)) is not None}


def _read(source: str, name: str) -> dict[str, Any] | None:
    path = _path(source, name)
    content = None if path is None else read_json(path)
    return content if isinstance(content, dict) else None


def _path(source: str, name: str) -> Path | None:
    """A file of a folder, or of a hub model; None where there is none."""
    from transformers.utils import cached_file

    try:
        found = cached_file(source, name)
    except (OSError, ValueError):
        return None
    return None if found is None else Path(found)


@cache
def _say(text: str) -> None:
    """Tell it once, however often a command reads a tokenizer."""
    print(text, file=sys.stderr)
