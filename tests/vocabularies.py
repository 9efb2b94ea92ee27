"""Tokenizers as families of models have them, with vocabularies of a few tokens, some of which straddle a boundary."""

import string
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# what is merged, letter by letter, earlier words first; the first ones take a prompt's colon and what follows
WORDS = (":N", ":A", ':"', ":\n", "\n\n", "x\n", ": ", " N", "Nora", "Anna", "the", "neutral", "中文", "12", ":🙂")
BPE = ("qwen", "gpt2", "llama", "metaspace", "gemma")
FAMILIES = (*BPE, "unigram")


def family(name: str, words: tuple[str, ...] = WORDS, **more: Any) -> PreTrainedTokenizerFast:
    """The tokenizer of a family; `more` for `PreTrainedTokenizerFast`."""
    backend = (
        _unigram(words) if name == "unigram" else _byte_level(name, words) if name in BPE[:2] else _pieces(name, words)
    )
    backend.add_special_tokens([AddedToken("<s>"), AddedToken("</s>")])
    if name != "qwen":
        bos = ("<s>", backend.token_to_id("<s>"))
        backend.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[bos])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", **more)


def _byte_level(name: str, words: tuple[str, ...]) -> Tokenizer:
    """Byte-level BPE, texts cut beforehand as Qwen or GPT-2 cut them."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode()
    written = ["".join(letters[byte] for byte in word.encode()) for word in words]
    backend = _bpe(list(letters.values()), written)
    backend.decoder = decoders.ByteLevel()
    if name == "gpt2":
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        return backend
    backend.normalizer = normalizers.NFC()
    cut = pre_tokenizers.Split(Regex(QWEN), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    return backend


def _pieces(name: str, words: tuple[str, ...]) -> Tokenizer:
    """Sentencepiece's BPE with byte fallback: a space in front of every text (Llama 2) or of the first piece, or none
    (Gemma)."""
    letters = [*string.printable, "▁", *"中文的他"]
    backend = _bpe(
        [*letters, *(f"<0x{byte:02X}>" for byte in range(256))], [w.replace(" ", "▁") for w in words], letters
    )
    space, back = normalizers.Replace(" ", "▁"), decoders.Replace("▁", " ")
    ends = [decoders.ByteFallback(), decoders.Fuse()]
    if name == "llama":
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), space])
    elif name == "metaspace":
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        backend.normalizer = space
        backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    ends += [decoders.Strip(" ", 1, 0)] if name != "gemma" else []
    backend.decoder = decoders.Sequence([back, *ends])
    return backend


def _bpe(letters: list[str], words: list[str], known: list[str] | None = None) -> Tokenizer:
    vocabulary = dict.fromkeys(letters)
    merges = []
    for word in words:
        parts = [letter for letter in word if known is None or letter in known]
        for end in range(1, len(parts)):
            pair = "".join(parts[:end]), parts[end]
            merges += [pair] if pair not in merges else []
            vocabulary["".join(pair)] = None
    ids = {token: number for number, token in enumerate(vocabulary)}
    return Tokenizer(models.BPE(ids, merges, byte_fallback=known is not None))


def _unigram(words: tuple[str, ...]) -> Tokenizer:
    """Sentencepiece's Unigram, in which all unknown characters in a row are one token."""
    letters = [*string.printable, "▁", *"中文的他"]
    pieces = [("<unk>", 0.0), *((letter, -5.0) for letter in letters)]
    pieces += [(word.replace(" ", "▁"), -3.0) for word in words if "🙂" not in word]
    backend = Tokenizer(models.Unigram(pieces, unk_id=0))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    backend.decoder = decoders.Metaspace()
    return backend
