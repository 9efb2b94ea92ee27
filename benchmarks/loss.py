"""What the loss takes: python benchmarks/loss.py [--tokens 2048] [--vocab_size 128256] [--size 576] [--repeats 3]

The loss of a micro-batch, forward and backward from the last hidden states on, of which a share are targets (58 %, as
in Alpaca), in float32 on a CPU or bf16 on a GPU:
  plain    the logits of all tokens, and torch's cross-entropy, as a model computes it by itself
  chunked  xllm.training.loss: the logits of target tokens alone, in chunks that make their gradient at once
Prints the highest memory above what hidden states, weights and their gradients take, and the time, median and spread;
each way in processes of its own.
"""

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tabulate import tabulate

from xllm.packing.loss import chunked_loss

TARGETS = 0.58
WAYS = ("plain", "chunked")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--vocab_size", type=int, default=128256)
    parser.add_argument("--size", type=int, default=576)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args)))
        return
    found: dict[str, list[dict]] = {way: [] for way in WAYS}
    for _ in range(args.repeats):
        for way in WAYS:
            command = [sys.executable, *sys.argv, "--way", way]
            found[way].append(json.loads(subprocess.check_output(command, text=True)))
    lines = []
    for way, runs in found.items():
        seconds = [run["seconds"] for run in runs]
        peak = statistics.median(run["bytes"] for run in runs)
        share = peak / statistics.median(run["bytes"] for run in found["plain"])
        spread = f"{statistics.median(seconds):.2f} ({min(seconds):.2f} – {max(seconds):.2f})"
        lines.append([way, f"{peak / 2**20:,.0f}", f"{share:.2f}", spread, f"{runs[0]['loss']:.5f}"])
    print(f"{args.tokens:,} tokens, a vocabulary of {args.vocab_size:,}, hidden states of {args.size}")
    print(tabulate(lines, ["way", "MiB", "share", "seconds", "loss"], disable_numparse=True))


def measure(args: argparse.Namespace) -> dict:
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    hidden = torch.randn(args.tokens, args.size, device=device, dtype=dtype).requires_grad_()
    weight = (0.05 * torch.randn(args.vocab_size, args.size, device=device, dtype=dtype)).requires_grad_()
    labels = torch.randint(args.vocab_size, (args.tokens,), device=device)
    trained = torch.rand(args.tokens, device=device) < TARGETS
    hidden.grad, weight.grad = torch.zeros_like(hidden), torch.zeros_like(weight)
    with Peak(device) as peak:
        began = time.perf_counter()
        if args.way == "plain":
            logits = F.linear(hidden, weight).float()
            loss = F.cross_entropy(logits, labels.masked_fill(~trained, -100), reduction="sum")
        else:
            loss, _ = chunked_loss(hidden[trained], weight, None, labels[trained])
        (loss / trained.sum()).backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    return {"bytes": peak.bytes, "seconds": seconds, "loss": float(loss.detach() / trained.sum())}


class Peak:
    """The highest memory within the block, above that at its beginning: anonymous on a CPU, allocated on a GPU."""

    def __init__(self, device: str) -> None:
        self.gpu, self.going, self.bytes = device == "cuda", True, 0

    def __enter__(self) -> "Peak":
        if self.gpu:
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        else:
            self.before = anonymous()
            self.thread = threading.Thread(target=self.watch)
            self.thread.start()
        return self

    def watch(self) -> None:
        while self.going:
            self.bytes = max(self.bytes, anonymous() - self.before)
            time.sleep(0.002)

    def __exit__(self, *_) -> None:
        if self.gpu:
            self.bytes = torch.cuda.max_memory_allocated() - self.before
        else:
            self.going = False
            self.thread.join()


def anonymous() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
