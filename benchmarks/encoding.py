"""How fast records become token ids: python benchmarks/encoding.py [--mixture alpaca_en] [--model smollm2-135m]

Three ways over the same rows, in turn, in one process:
  reference   each string tokenized alone into a tensor, prompt and full text both, as x-LLM does it (which takes a slow
              tokenizer besides; here it is the fast one too)
  xllm        xllm.mixture.encoding, up to the columns that are trained on
  ceiling     the Rust tokenizer's batch encoding of the full texts, and nothing else
Prints rows a second, median and spread over the repeats, and the ratios of xllm to the other two.
"""

import argparse
import statistics
import time

from tabulate import tabulate

from xllm import models
from xllm.mixture import load_mixture
from xllm.mixture.encoding import encode_batch
from xllm.prompts import alpaca

BATCH = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mixture", default="alpaca_en")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    tokenizer = models.load_tokenizer(models.find(args.model))
    rows = load_mixture(args.mixture, "train").rows
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    ways = {"reference": reference, "xllm": ours, "ceiling": ceiling}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            for batch in batches:
                way(batch, tokenizer)
            seconds[name].append(time.perf_counter() - began)
    lines = []
    for name, times in seconds.items():
        speeds = sorted(len(rows) / t for t in times)
        ratios = [t / mine for t, mine in zip(times, seconds["xllm"], strict=True)]
        spread = f"{speeds[0]:,.0f} – {speeds[-1]:,.0f}"
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})"
        lines.append([name, f"{statistics.median(speeds):,.0f}", spread, ratio])
    print(f"{len(rows):,} rows of {args.mixture}, {args.model}, {args.repeats} repeats")
    print(tabulate(lines, ["way", "rows/s", "spread", "xllm is × as fast"], disable_numparse=True))


def reference(batch: dict[str, list], tokenizer) -> None:
    for instruction, text, output in zip(batch["instruction"], batch["input"], batch["output"], strict=True):
        prompt = alpaca(instruction, text)
        settings = {"return_tensors": "pt", "padding": "longest", "truncation": True, "max_length": 512}
        full = tokenizer(prompt + output + tokenizer.eos_token, **settings).input_ids[0]
        labels = full.clone()
        labels[: len(tokenizer(prompt, **settings).input_ids[0])] = -100


def ours(batch: dict[str, list], tokenizer) -> None:
    encode_batch(batch, tokenizer, "alpaca", 512)


def ceiling(batch: dict[str, list], tokenizer) -> None:
    pairs = zip(batch["instruction"], batch["input"], batch["output"], strict=True)
    tokenizer.backend_tokenizer.encode_batch(
        [alpaca(instruction, text) + output for instruction, text, output in pairs]
    )


if __name__ == "__main__":
    main()
