"""How a model is tuned: python benchmarks/training.py {speed,memory} [--rows 32] [--repeats 3] [--trl DIR]

Optimizer steps over the same rows of a mixture, in float32 on a CPU or bf16 autocast on a GPU, in turn:
  reference    x-LLM's recipe: rows padded to the longest of four, accumulated, the model's own loss
  trl          TRL's SFTTrainer, four rows at a time, without packing (where --trl names a folder that holds TRL:
               pip install --no-deps --target DIR trl)
  trl packed   the same with packing, of about as many tokens a step
  xllm         xllm.training, the same rows in each step as the reference
speed: useful tokens a second (those of the rows, without padding), median and spread over the repeats, the ratio of
xllm to each, and the share of what torch.mm reaches at this model's shapes in the same run that useful operations make
up. The losses of the reference and of xllm stand below the table, step by step.
memory: the highest memory of each in a process of its own, over a first step and the one of the epoch in which the
reference pads its rows to the longest: anonymous on a CPU, allocated on a GPU.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch
from tabulate import tabulate

from xllm.artifacts import model_folder
from xllm.mixture.encoding import encode
from xllm.mixture.load import load_mixture
from xllm.models.load import load_model, load_tokenizer
from xllm.packing.packed import make_losses
from xllm.training import memory
from xllm.training.flops import costs, matrix_rate
from xllm.training.layout import Steps

WAYS = ("reference", "trl", "trl packed", "xllm")
SEED, MICRO = 42, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "memory"))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--mixture", default="alpaca_en")
    parser.add_argument("--rows", type=int, default=32, help="rows an optimizer step")
    parser.add_argument("--repeats", type=int, default=3, help="optimizer steps of each way")
    parser.add_argument("--tokens_per_micro_batch", type=int, default=memory.ON_CPU)
    parser.add_argument("--trl")
    parser.add_argument("--memory_of", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    ways = [way for way in WAYS if args.trl or not way.startswith("trl")]
    if args.memory_of:
        print(json.dumps(peak_of(args)), flush=True)
        os._exit(0)  # TRL's trainer still waits for its next step
    {"speed": speed, "memory": show_memory}[args.what](args, ways)


def show_memory(args: argparse.Namespace, ways: list[str]) -> None:
    peaks = {way: memory_of(way) for way in ways}
    lines = [[way, f"{peak / 2**20:,.0f}", f"{peaks['xllm'] / peak:.2f}"] for way, peak in peaks.items()]
    print(f"{args.model}, {args.rows} rows a step of {args.mixture}")
    print(tabulate(lines, ["way", "peak MiB", "xllm's share of it"], disable_numparse=True))


def speed(args: argparse.Namespace, ways: list[str]) -> None:
    run = Run(args)
    for way in ways:
        run.step(way, 0)  # warm
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    tokens: dict[str, list[int]] = {way: [] for way in ways}
    losses: dict[str, list[float]] = {way: [] for way in ways}
    rates = []
    for step in range(1, args.repeats + 1):
        rates.append(matrix_rate(run.plain, args.tokens_per_micro_batch, run.dtype, run.device))
        for way in ways:
            began = time.perf_counter()
            loss, count = run.step(way, step)
            seconds[way].append(time.perf_counter() - began)
            tokens[way].append(count)
            losses[way].append(loss)
    lines = []
    for way, times in seconds.items():
        speeds = [count / taken for count, taken in zip(tokens[way], times, strict=True)]
        mine = [count / taken for count, taken in zip(tokens["xllm"], seconds["xllm"], strict=True)]
        ratios = [my / other for my, other in zip(mine, speeds, strict=True)]
        shares = [
            run.operations(step) / run.useful(step)["tokens"] * speed / rate
            for step, (speed, rate) in enumerate(zip(speeds, rates, strict=True), start=1)
        ]
        lines.append(
            [
                way,
                f"{statistics.median(speeds):,.0f}",
                f"{min(speeds):,.0f} – {max(speeds):,.0f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})",
                f"{statistics.median(shares):.0%}",
            ]
        )
    rate = statistics.median(rates) / 1e9
    print(f"{args.model}, {args.rows} rows a step of {args.mixture}, {run.device}, torch.mm {rate:,.0f} GFLOP/s")
    header = ["way", "tokens/s", "spread", "xllm is × as fast", "of torch.mm"]
    print(tabulate(lines, header, disable_numparse=True))
    for way in ("reference", "xllm"):
        print(f"{way:10} losses", " ".join(f"{loss:.5f}" for loss in losses[way]))


class Run:
    """The same rows, and a model and an optimizer for each way."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.source = model_folder.find(args.model)
        self.tokenizer = load_tokenizer(self.source)
        encoded = encode(load_mixture(args.mixture, "train"), self.tokenizer, "alpaca", 512)
        self.rows = encoded.rows.select(encoded.kept).flatten_indices()
        self.plain = load_model(self.source, torch.float32)
        self.costs = costs(self.plain)
        self.made: dict[str, tuple] = {}
        self.order: list[int] = list(range(args.repeats + 1))  # of the steps, as they come
        self.layout = Steps(self.rows, args.rows, SEED, args.tokens_per_micro_batch, packed=True, rank=0, ranks=1)

    def useful(self, step: int) -> dict:
        return self.layout[step]

    def operations(self, step: int) -> int:
        counted = self.useful(step)
        return sum(cost * counted[what] for what, cost in self.costs.items())

    def widest(self) -> int:
        """The step in which the reference's four rows, padded, are the most tokens."""
        lengths = pc.list_value_length(self.rows.data["input_ids"]).to_numpy()
        found = [lengths[self.layout.numbers(step)] for step in range(len(self.layout))]
        widths = [
            max(len(step[i : i + MICRO]) * step[i : i + MICRO].max() for i in range(0, len(step), MICRO))
            for step in found
        ]
        return int(np.argmax(widths))

    def step(self, way: str, step: int) -> tuple[float, int]:
        """One optimizer step: its loss, and its tokens without padding."""
        if way.startswith("trl"):
            if way not in self.made:
                self.made[way] = trl_steps(self, way)
            return next(self.made[way])
        if way not in self.made:
            model = load_model(self.source, torch.float32).to(self.device)
            if way == "xllm":
                assert make_losses(model, 512)
            self.made[way] = model, torch.optim.AdamW(model.parameters(), 2e-5, fused=way == "xllm")
        model, optimizer = self.made[way]
        model.train()
        counted = self.useful(step)
        batches = counted["micro_batches"] if way == "xllm" else self.padded(step)
        total = 0.0
        for batch in batches:
            batch = {key: value.to(self.device) if torch.is_tensor(value) else value for key, value in batch.items()}
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
                if way == "xllm":
                    loss = model(**batch)[0] / counted["targets"]
                else:
                    loss = model(**batch, num_items_in_batch=counted["targets"]).loss
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return total, counted["tokens"]

    def padded(self, step: int) -> list[dict]:
        """The rows of a step by fours, padded on the right, as x-LLM's collator does it."""
        rows = self.rows[self.layout.numbers(step)]
        batches = []
        for start in range(0, len(rows["input_ids"]), MICRO):
            ids = [torch.tensor(row, dtype=torch.long) for row in rows["input_ids"][start : start + MICRO]]
            labels = [row.clone() for row in ids]
            for row, prompt in zip(labels, rows["prompt_length"][start : start + MICRO], strict=True):
                row[:prompt] = -100
            pad = torch.nn.utils.rnn.pad_sequence
            batches.append(
                {
                    "input_ids": pad(ids, True, self.tokenizer.eos_token_id),
                    "attention_mask": pad([torch.ones_like(row) for row in ids], True, 0),
                    "labels": pad(labels, True, -100),
                }
            )
        return batches


def trl_steps(run: Run, way: str):
    """The steps of TRL's SFTTrainer, one each time that the next is asked for."""
    sys.path.append(run.args.trl)
    import datasets
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    numbers = np.concatenate([run.layout.numbers(step) for step in run.order])
    rows = run.rows[numbers]
    table = {
        "input_ids": [row.tolist() for row in rows["input_ids"]],
        "completion_mask": [
            [0] * int(prompt) + [1] * (len(row) - int(prompt))
            for row, prompt in zip(rows["input_ids"], rows["prompt_length"], strict=True)
        ],
    }
    packing = way == "trl packed"
    steps = run.args.rows // MICRO
    if packing:
        steps = max(1, round(run.useful(0)["tokens"] / (MICRO * 512)))
        # packed rows are fewer than there were; the same ones again are enough to go on
        table = {column: values * 4 for column, values in table.items()}
    turn, done = threading.Semaphore(0), threading.Semaphore(0)

    class Turns(TrainerCallback):
        """Holds the trainer until a step is asked for."""

        def on_step_begin(self, *_, **__):
            turn.acquire()

        def on_step_end(self, *_, **__):
            done.release()

    class Counting(SFTTrainer):
        seen = 0

        def training_step(self, model, inputs, *more, **named):
            mask = inputs.get("attention_mask")
            self.seen += int(inputs["input_ids"].numel() if mask is None else mask.sum())
            return super().training_step(model, inputs, *more, **named)

    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            folder,
            per_device_train_batch_size=MICRO,
            gradient_accumulation_steps=steps,
            max_length=512,
            packing=packing,
            use_cpu=run.device.type == "cpu",
            bf16=run.dtype == torch.bfloat16,
            learning_rate=2e-5,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            gradient_checkpointing=False,
        )
        data = datasets.Dataset.from_dict(table)
        model = load_model(run.source, torch.float32)
        trainer = Counting(model, config, train_dataset=data, processing_class=run.tokenizer, callbacks=[Turns()])
        threading.Thread(target=trainer.train, daemon=True).start()
        while True:
            before = trainer.seen
            turn.release()
            done.acquire()
            yield float("nan"), trainer.seen - before


def memory_of(way: str) -> int:
    """The highest memory of a step, in a process of its own."""
    command = [sys.executable, *sys.argv, "--memory_of", way]
    return json.loads(subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).splitlines()[-1])


def peak_of(args: argparse.Namespace) -> int:
    run = Run(args)
    run.order = [0, run.widest()]
    if run.device.type == "cuda":
        for step in run.order:
            run.step(args.memory_of, step)
        return torch.cuda.max_memory_allocated()
    del run.plain
    peak, going = 0, True

    def watch():
        nonlocal peak
        while going:
            status = Path(f"/proc/{os.getpid()}/status").read_text()
            peak = max(
                peak, *(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))
            )
            time.sleep(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    for step in run.order:
        run.step(args.memory_of, step)
    going = False
    thread.join()
    return peak


if __name__ == "__main__":
    main()
