"""`xllm preview`: rows as the model sees them in training."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from xllm.artifacts import model_folder
from xllm.cli import done
from xllm.files import check_name, whole
from xllm.mixture.encoding import Encoded, check_any, encode
from xllm.mixture.flags import PreviewFlags
from xllm.mixture.load import load_mixture
from xllm.models.load import load_tokenizer
from xllm.templates import check_text_field

MASKED, TRAINED = "cyan", "bold green"
BINS = 12  # lines of the histogram
BAR = 40  # characters of its longest bar


def preview(flags: PreviewFlags) -> None:
    """Show rows spread over a mixture as a model sees them, and how long all rows are.

    Masked tokens (the prompt) and trained ones (the response and its eos) have headings and colours of their own.
    """
    if flags.html is not None:
        check_name(Path(flags.html))
    check_text_field(flags.text_field, flags.template)
    tokenizer = load_tokenizer(model_folder.find(flags.model), flags.special_tokens_in_data)
    mixture = load_mixture(flags.mixture, flags.split, flags.data_dir)
    encoded = encode(mixture, tokenizer, flags.template, flags.model_max_length, text_field=flags.text_field)
    check_any(encoded, flags.model_max_length)
    kept = encoded.kept
    console = Console(record=True, highlight=False, soft_wrap=True)
    for row in kept[np.unique(np.linspace(0, len(kept) - 1, flags.n).round().astype(int))]:
        show_row(console, int(row), encoded, tokenizer)
    show_lengths(console, encoded, flags.model_max_length)
    if flags.html is not None:
        with whole(Path(flags.html)) as place:
            console.save_html(str(place))
    done(*filter(None, [flags.html]), then=f"xllm train {flags.model} {shlex.quote(flags.mixture)}")


def show_row(console: Console, row: int, encoded: Encoded, tokenizer: Any) -> None:
    """Text and tokens of one row, prompt and response apart."""
    shown = encoded.rows[row]
    ids, length, lost = shown["input_ids"].tolist(), int(shown["prompt_length"]), int(shown["lost"])
    cut = f", {lost} more are cut off" if lost else ""
    console.rule(f"row {row}, {shown['row']}: {len(ids)} tokens{cut}", characters="─")
    for title, part, style in (("masked", ids[:length], MASKED), ("trained", ids[length:], TRAINED)):
        console.print(Text(f"{title}, {len(part)} tokens", style="bold underline"))
        console.print(Text(tokenizer.decode(part, clean_up_tokenization_spaces=False), style=style))
        pieces = [f"{piece}({token})" for piece, token in zip(tokenizer.convert_ids_to_tokens(part), part, strict=True)]
        console.print(Text(" ".join(pieces), style="dim"))


def show_lengths(console: Console, encoded: Encoded, limit: int) -> None:
    """A histogram of the rows' lengths in tokens."""
    lengths = encoded.lengths[encoded.kept]
    counts, edges = np.histogram(lengths, BINS, (0, limit))
    console.rule("tokens a row", characters="─")
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        bar = "█" * int(np.ceil(BAR * count / counts.max()))
        console.print(f"{low:6.0f} – {high:4.0f}  {count:9,}  {bar}")
    console.print(f"mean {lengths.mean():.1f}, median {np.median(lengths):.0f}, longest {lengths.max()}")
