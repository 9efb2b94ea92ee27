"""`xllm perplexity`: how well a model foretells the outputs of a dataset."""

import math
import shlex
import sys
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from xllm import boundary, control_tokens, languages
from xllm.artifacts import model_folder
from xllm.cli import done
from xllm.errors import XllmError
from xllm.files import write_json
from xllm.inference import batching
from xllm.inference.answering import READ
from xllm.inference.flags import PerplexityFlags
from xllm.inference.hf import HFEngine
from xllm.mixture.load import load_mixture
from xllm.models.load import check_id, check_weights, load_causal_config, load_tokenizer
from xllm.packing.prefix_tree import attend_by_tree, log_probabilities
from xllm.records import Row
from xllm.templates import CHAT, TEXT, check_text_field, check_wording, text_of, word


def perplexity(flags: PerplexityFlags) -> None:
    """Print the perplexity of a model on the outputs of a dataset, given their prompts: for each token, with eos, and
    for each byte of UTF-8, by which models with other tokenizers can be compared.

    exp(-Σ log p / n) over all target tokens, of n tokens or bytes. Rows that are longer than the model's window are
    left out and counted.
    """
    source = model_folder.find(flags.model)
    load_causal_config(source)
    tokenizer = load_tokenizer(source, flags.special_tokens_in_data or None)
    check_weights(source)
    template = check_wording(flags.template or model_folder.template_of(flags.model), tokenizer, flags.model)
    check_text_field(flags.text_field, template)
    mixture = load_mixture(flags.dataset, flags.split, flags.data_dir)
    field = flags.text_field if template == TEXT else "output"
    rows = [row for row in mixture if not languages.blank(text_of(row, field))]
    if not rows:
        raise XllmError(f"no row of {flags.dataset} has an {field}" if field else f"{flags.dataset} has no text")
    prompts, outputs = texts(rows, template, tokenizer, field)
    pairs = boundary.encode_pairs(prompts, outputs, tokenizer, chat=template == CHAT)
    ids, starts = whole(pairs, tokenizer)
    sums = log_likelihoods(source, ids, starts, flags.dataset)
    tokens = [len(row) - start for row, start in zip(ids, starts, strict=True)]
    report = summary(rows, sums, tokens, [size(output, tokenizer) for output in outputs])
    print(tabulate([list(line.values()) for line in report], list(report[0]), floatfmt=".4f", intfmt=","))
    if flags.json is not None:
        facts = {"model": flags.model, "dataset": flags.dataset, "template": template, "perplexity": report}
        write_json(Path(flags.json), facts)
    done(*filter(None, [flags.json]), then=f"xllm infer {flags.model} {shlex.quote(flags.dataset)}")


def log_likelihoods(source: str, ids: list[list[int]], starts: list[int], dataset: str) -> dict[int, float]:
    """The log-probability of each row's targets, by row number; rows longer than the model's window are left out."""
    engine = HFEngine.load(source)
    attend_by_tree(engine.model)
    fit = {number: row for number, row in enumerate(ids) if engine.window is None or len(row) <= engine.window}
    if not fit:
        raise XllmError(f"every row of {dataset} is longer than the model's window of {engine.window} tokens")
    check_id(max(map(max, fit.values())), engine.vocabulary, dataset, source)
    sums: dict[int, float] = {}
    with tqdm(total=len(fit), unit="row", file=sys.stderr) as progress:
        for batch in batching.plan(fit, 0, READ, engine.rows):
            found = log_probabilities(engine.model, [ids[row] for row in batch], [starts[row] for row in batch])
            sums |= zip(batch, (float(row.double().sum()) for row in found), strict=True)
            progress.update(len(batch))
    return sums


def texts(rows: list[Row], template: str, tokenizer, field: str | None) -> tuple[list[str], list[str]]:
    """What comes before the targets of each row, and the targets, which are a `field` of it or all of it."""
    targets = [text_of(row, field) for row in rows]
    if template == TEXT:
        return [""] * len(rows), targets
    asked = word([(row["instruction"], row["input"]) for row in rows], template, tokenizer)
    if template == CHAT:
        return asked, targets
    own = [boundary.split(prompt, target) for prompt, target in zip(asked, targets, strict=True)]
    return [prompt for prompt, _ in own], [target for _, target in own]


def whole(pairs: list[boundary.Pair], tokenizer) -> tuple[list[list[int]], list[int]]:
    """Each row's token ids, with eos at the end, and the place of its first target. Every target has something before
    it: where there is no prompt, and the tokenizer puts nothing in front of a text, bos, or eos where a model has none,
    as in EleutherAI's lm-evaluation-harness (`HFLM.prefix_token_id`)."""
    front = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    fronts: list[list[int]] = [[] if pair.start else [front] for pair in pairs]
    ids = [[*before, *pair.ids, tokenizer.eos_token_id] for before, pair in zip(fronts, pairs, strict=True)]
    return ids, [pair.start or 1 for pair in pairs]


def size(output: str, tokenizer) -> int:
    """The bytes of UTF-8 that the targets of an output stand for. Control tokens, where they are such, stand for none,
    and neither does eos."""
    text = control_tokens.of(tokenizer).without(output) if control_tokens.allowed(tokenizer) else output
    return len(text.encode())


def summary(rows: list[Row], sums: dict[int, float], tokens: list[int], sizes: list[int]) -> list[dict]:
    """A line for each dataset: `sums` are the rows' log-probabilities, of the rows that fit, `sizes` their bytes."""
    lines = []
    for name in dict.fromkeys(row["from"] for row in rows):
        own = [number for number, row in enumerate(rows) if row["from"] == name]
        fit = [number for number in own if number in sums]
        counted = sum(tokens[number] for number in fit)
        bytes_ = sum(sizes[number] for number in fit)
        total = -sum(sums[number] for number in fit)
        lines.append(
            {
                "dataset": name,
                "rows": len(fit),
                "too long": len(own) - len(fit),
                "target tokens": counted,
                "bytes": bytes_,
                "perplexity a token": math.exp(total / counted) if fit else math.nan,
                "perplexity a byte": math.exp(total / bytes_) if bytes_ else math.nan,
            }
        )
    return lines
