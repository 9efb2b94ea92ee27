"""`python -m xllm mixture`: what a mixture comes to, before anything is trained on it."""

import sys
from collections import Counter

from tabulate import tabulate

from xllm import models
from xllm.errors import XllmError
from xllm.mixture.lock import write_lock
from xllm.mixture.mix import Draw, Mixture, load_mixture


def mixture(
    text, *, model=None, split="train", lock=None, data_dir=None, seed="42", mix_rows=None, mix_temperature="1.0"
):
    """Show the datasets of the mixture TEXT: rows and share of each, and with --model its target tokens.

    --lock FILE writes down the resolution, with the sha256 of each script and raw file, for `train --lock FILE`.
    --mix_rows N sets the number of rows in all, --mix_temperature T gives each dataset a share of n^(1/T); --seed is
    what a draw depends on. No weights are loaded.
    """
    draw = Draw(
        _number("seed", seed, int),
        None if mix_rows is None else _number("mix_rows", mix_rows, int),
        _number("mix_temperature", mix_temperature, float),
    )
    loaded = load_mixture(text, split, data_dir, draw)
    sizes = {"rows": Counter({term["from"]: term["rows"] for term in loaded.terms})}
    if model is not None:
        sizes["target tokens"] = target_tokens(loaded, model)
    header = ["term", "language", *(title for name in sizes for title in (name, "share"))]
    print(tabulate([_line(term, sizes) for term in [*loaded.terms, {"from": "all"}]], header, disable_numparse=True))
    if lock is not None:
        write_lock(loaded, lock)
        print(f"wrote {lock}", file=sys.stderr)


def target_tokens(mixture: Mixture, model: str) -> Counter:
    """The tokens of each dataset that training would train on, with the default prompt and length."""
    from xllm.mixture.encoding import encode

    counts: Counter = Counter()
    tokenizer = models.load_tokenizer(models.find(model))
    for term in mixture.terms:
        rows = mixture.rows.filter(
            lambda names, name=term["from"]: [n == name for n in names], True, input_columns="from"
        )
        encoded, _ = encode(rows, tokenizer, "alpaca", 512)
        lengths = zip(encoded["input_ids"], encoded["prompt_length"], strict=True)
        counts[term["from"]] = sum(len(ids) - int(prompt) for ids, prompt in lengths)
    return counts


def _line(term: dict, sizes: dict[str, Counter]) -> list[str]:
    cells = [term["from"], term.get("language") or ""]
    for counts in sizes.values():
        count = counts.total() if term["from"] == "all" else counts[term["from"]]
        cells += [f"{count:,}", f"{100 * count / counts.total():.1f} %"]
    return cells


def _number(flag: str, text: str, kind: type):
    try:
        return kind(text)
    except ValueError:
        raise XllmError(f"--{flag} {text}: it must be a number") from None
