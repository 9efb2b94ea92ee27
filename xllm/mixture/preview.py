"""`python -m xllm preview`: rows as the model sees them in training."""

import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from xllm.artifacts import model_folder
from xllm.errors import XllmError
from xllm.files import check_name, whole
from xllm.mixture.encoding import Encoded, encode
from xllm.mixture.load import load_mixture
from xllm.models.load import load_tokenizer
from xllm.templates import check_template
from xllm.values import whole_number

MASKED, TRAINED = "cyan", "bold green"
BINS = 12  # lines of the histogram
BAR = 40  # characters of its longest bar


def preview(text, *, model, n="3", split="train", template="alpaca", model_max_length="512", data_dir=None, html=None):
    """Show N rows of the mixture TEXT, spread over it, as MODEL sees them, and how long all rows are.

    Masked tokens (the prompt) and trained ones (the response and its eos) have headings and colours of their own.
    --html FILE writes the same as a page.
    """
    count, max_length = whole_number("n", n), whole_number("model_max_length", model_max_length)
    check_template(template)
    tokenizer = load_tokenizer(model_folder.find(model))
    mixture = load_mixture(text, split, data_dir)
    encoded = encode(mixture, tokenizer, template, max_length)
    if not len(encoded.rows):
        raise XllmError(f"no row has any response left within --model_max_length {max_length} tokens")
    console = Console(record=True, highlight=False, soft_wrap=True)
    for row in np.unique(np.linspace(0, len(encoded.rows) - 1, count).round().astype(int)):
        show_row(console, int(row), encoded, tokenizer)
    show_lengths(console, encoded, max_length)
    if html is not None:
        with whole(check_name(Path(html))) as place:
            console.save_html(str(place))
        print(f"wrote {html}", file=sys.stderr)


def show_row(console: Console, row: int, encoded: Encoded, tokenizer) -> None:
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
    lengths = encoded.lengths
    counts, edges = np.histogram(lengths, BINS, (0, limit))
    console.rule("tokens a row", characters="─")
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        bar = "█" * int(np.ceil(BAR * count / counts.max()))
        console.print(f"{low:6.0f} – {high:4.0f}  {count:9,}  {bar}")
    console.print(f"mean {lengths.mean():.1f}, median {np.median(lengths):.0f}, longest {lengths.max()}")
