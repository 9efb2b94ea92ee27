"""How fast answers come: python benchmarks/inference.py {answers,labels} [--dataset xquad_en] [--rows 240]

The same rows in float32 on a CPU or bf16 on a GPU, in turn:
  reference  x-LLM's way: batches in the file's order, padded on the left to the longest, transformers' own generation;
             for labels, each of a row's four labels after the whole of its prompt
  xllm       xllm.inference, through its journal
answers: greedy answers to the first rows of a dataset. labels: how likely each of four answers to the questions of a
dataset is, after a prompt with another paragraph as an example.
Prints rows a second, median and spread over the repeats, the ratio of xllm to the reference, in how many rows their
results differ, and how much of xllm's time goes to planning, the journal and the progress bar.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from tabulate import tabulate

from xllm.artifacts import model_folder
from xllm.artifacts.journal import Journal
from xllm.inference import answering
from xllm.inference.constrained import Label, after_prompts
from xllm.inference.engine import Decoding, device_and_dtype
from xllm.inference.hf import HFEngine
from xllm.inference.ranks import Ranks
from xllm.mixture.load import load_mixture
from xllm.templates import encode_prompts, word

BATCH = 8  # the reference's
CLOSE = 1e-3  # of log-likelihoods that are called equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("answers", "labels"))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dataset", default="xquad_en")
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--max_new_tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    rows = list(load_mixture(args.dataset, "test"))
    rows = rows[: args.rows] if args.what == "answers" else with_labels(rows)[: args.rows]
    ways = {"reference": Reference(args), "xllm": Ours(args)}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    found, shares = {}, []
    for way in ways.values():
        way.run(rows[:BATCH])  # warm
    for _ in range(args.repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            found[name] = way.run(rows)
            seconds[name].append(time.perf_counter() - began)
        shares.append(1 - ways["xllm"].inside / seconds["xllm"][-1])
    lines = []
    for name, taken in seconds.items():
        ratios = [other / mine for other, mine in zip(taken, seconds["xllm"], strict=True)]
        speeds = [len(rows) / each for each in taken]
        lines.append(
            [
                name,
                f"{statistics.median(speeds):.2f}",
                f"{min(speeds):.2f} – {max(speeds):.2f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})",
            ]
        )
    device, dtype = device_and_dtype()
    print(f"{args.model}, {len(rows)} rows of {args.dataset}, {args.what}, {device}, {dtype}")
    print(tabulate(lines, ["way", "rows/s", "spread", "xllm is × as fast"], disable_numparse=True))
    print(f"rows that differ: {sum(not same(*pair) for pair in zip(found['reference'], found['xllm'], strict=True))}")
    print(f"plan, journal and progress: {statistics.median(shares):.1%} of xllm's time")


def with_labels(rows: list[dict]) -> list[dict]:
    """Questions whose paragraph has four answers or more, with four of these as labels and another paragraph first."""
    by_paragraph: dict[str, list[dict]] = {}
    for row in rows:
        by_paragraph.setdefault(row["input"].rpartition("\n")[0].rpartition("\n")[0], []).append(row)
    asked, example = [], ""
    for own in by_paragraph.values():
        answers = list(dict.fromkeys(row["output"] for row in own))[:4]
        if len(answers) == 4 and example:
            asked += [row | {"input": f"{example}\n\n{row['input']}", "labels": answers} for row in own]
        example = f"{own[0]['input']} {own[0]['output']}"
    return asked


def same(one, other) -> bool:
    if isinstance(one, str):
        return one == other
    return all(abs(a - b) <= CLOSE for a, b in zip(one, other, strict=True))


class Reference:
    """x-LLM's way."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.engine = args, HFEngine.load(model_folder.find(args.model))

    def run(self, rows: list[dict]) -> list:
        pairs = [(row["instruction"], row["input"]) for row in rows]
        prompts = encode_prompts(pairs, "alpaca", self.engine.tokenizer)
        if self.args.what == "labels":
            texts = word(pairs, "alpaca", self.engine.tokenizer)
            labels = {f"row {number}": row["labels"] for number, row in enumerate(rows)}
            asked = after_prompts(texts, labels, "alpaca", self.engine.tokenizer)
            return [self.likelihoods(labels) for labels in asked]
        batches = [prompts[start : start + BATCH] for start in range(0, len(prompts), BATCH)]
        return [text for batch in batches for text in self.engine.answer(batch, Decoding(self.args.max_new_tokens))]

    def likelihoods(self, labels: list[Label]) -> list[float]:
        model, ids = self.engine.model, [torch.tensor(label.ids) for label in labels]
        batch = torch.nn.utils.rnn.pad_sequence(ids, True, 0).to(model.device)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(own) for own in ids], True, 0).to(model.device)
        with torch.inference_mode():
            said = model(batch, attention_mask=mask).logits.float().log_softmax(-1)
        return [
            sum(float(said[number, place - 1, label.ids[place]]) for place in range(label.start, len(label.ids)))
            for number, label in enumerate(labels)
        ]


class Ours:
    """xllm.inference; `inside` is what the engine itself took of the last run."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.inside = args, 0.0
        labels = "score" if args.what == "labels" else None
        task = answering.Task("alpaca", Decoding(args.max_new_tokens), 0, labels, None, None)
        engine = answering.load(model_folder.find(args.model), task, "hf")
        self.answering = answering.Answering(engine, task, None, Ranks())
        answering.attempt = self.timed(answering.attempt)

    def timed(self, attempt):
        def work(*words):
            found = attempt(*words)
            while True:
                began = time.perf_counter()
                entry = next(found, None)
                self.inside += time.perf_counter() - began
                if entry is None:
                    return
                yield entry

        return work

    def run(self, rows: list[dict]) -> list:
        self.inside = 0.0
        with tempfile.TemporaryDirectory() as folder:
            self.answering.journal = Journal(Path(folder), 0)
            answers = self.answering.answer(rows)
        if self.args.what == "answers":
            return [answers[row]["prediction"] for row in range(len(rows))]
        return [[scores["sum"] for scores in answers[row]["label_scores"].values()] for row in range(len(rows))]


if __name__ == "__main__":
    main()
