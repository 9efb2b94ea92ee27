"""How records become token ids: how fast, in how much memory, and how soon the second time.

    python benchmarks/encoding.py speed [--mixture alpaca_en] [--model smollm2-135m] [--repeats 5]

Three ways over the same rows, in turn, in one process:
  reference   each string tokenized alone into a tensor, prompt and full text both, as x-LLM does it (which takes a slow
              tokenizer besides; here it is the fast one too)
  xllm        xllm.mixture.encoding, up to the columns that are trained on
  ceiling     the Rust tokenizer's batch encoding of the full texts, and nothing else
Prints rows a second, median and spread over the repeats, and the ratios of xllm to the other two.

    python benchmarks/encoding.py memory [--mixture PARALLEL] [100000 1000000 10000000] [--num_proc 1]

Writes raw files of as many lines by repeating real parallel text (a mixture), then runs `train --prepare_only` on them
with an empty cache, and starts again from the cache. Prints the highest anonymous memory of the processes together
(what the kernel calls RssAnon: without pages of files), seconds, and the seconds of the second start from the end of
the imports to the first batch. Ten million rows take some 15 GB in $TMPDIR for a while.
"""

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fire
from tabulate import tabulate

from xllm.artifacts import model_folder
from xllm.mixture.batches import encode_batch
from xllm.mixture.encoding import encode
from xllm.mixture.load import load_mixture
from xllm.models.load import load_tokenizer
from xllm.templates import alpaca

BATCH = 1000
PARALLEL = "translation_xnli_en-zh+translation_lohelp_en-zh"
SIZES = (100_000, 1_000_000, 10_000_000)  # rows


def speed(mixture: str = "alpaca_en", model: str = "smollm2-135m", repeats: int = 5) -> None:
    tokenizer = load_tokenizer(model_folder.find(model))
    rows = list(load_mixture(mixture, "train"))
    columns = {column: [row[column] for row in rows] for column in ("instruction", "input", "output")}
    batches = [
        {column: values[start : start + BATCH] for column, values in columns.items()}
        for start in range(0, len(rows), BATCH)
    ]
    ways = {"reference": reference, "xllm": ours, "ceiling": ceiling}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
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
    print(f"{len(rows):,} rows of {mixture}, {model}, {repeats} repeats")
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


def memory(*sizes: int, mixture: str = PARALLEL, model: str = "smollm2-135m", num_proc: int = 1) -> None:
    pairs = [(row["input"], row["output"]) for row in load_mixture(mixture, "train")]
    lines = []
    for size in sizes or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write_pairs(
                root / "data" / "translation" / "repeated" / "en-zh", itertools.islice(itertools.cycle(pairs), size)
            )
            environment = os.environ | {"XLLM_DATA_DIR": str(root / "data"), "HF_HOME": str(root / "cache")}
            train = [sys.executable, "-m", "xllm", "train", model, "translation_repeated_en-zh", "--prepare_only"]
            train += ["--num_proc", str(num_proc), "--output_dir", str(root / "model")]
            began = time.perf_counter()
            peak = highest(subprocess.Popen(train, env=environment, stderr=subprocess.DEVNULL))
            seconds = time.perf_counter() - began
            again = [sys.executable, __file__, "start", "--model", model, "--mixture", "translation_repeated_en-zh"]
            starts = [float(subprocess.check_output(again, env=environment, text=True)) for _ in range(3)]
            lines.append([f"{size:,}", f"{peak / 2**20:,.0f}", f"{seconds:,.0f}", f"{statistics.median(starts):.2f}"])
            print(lines[-1], file=sys.stderr)
    print(f"{mixture} repeated, {model}, {num_proc} processes that tokenize")
    header = ["rows", "anonymous MiB", "seconds", "second start, seconds"]
    print(tabulate(lines, header, disable_numparse=True, colalign=["right"] * 4))


def write_pairs(folder: Path, pairs) -> None:
    folder.mkdir(parents=True)
    with (folder / "train.en").open("w") as source, (folder / "train.zh").open("w") as target:
        for left, right in pairs:
            source.write(left + "\n")
            target.write(right + "\n")


def highest(process: subprocess.Popen) -> int:
    """The highest anonymous memory of a process and its descendants together, in bytes, until it ends."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(anonymous, family(process.pid))))
        time.sleep(0.02)
    assert process.returncode == 0
    return peak


def family(pid: int) -> list[int]:
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return []
    return [pid, *(one for child in children for one in family(child))]


def anonymous(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))


def start(mixture: str, model: str = "smollm2-135m") -> None:
    """Print the seconds from here, where everything is imported, to the first batch."""
    import xllm.training.train  # noqa: F401  all that training imports
    from xllm.training.layout import Steps
    from xllm.training.memory import ON_CPU

    began = time.perf_counter()
    encoded = encode(load_mixture(mixture, "train"), load_tokenizer(model_folder.find(model)), "alpaca", 512)
    budget = max(ON_CPU, encoded.longest)
    steps = Steps(encoded.rows, 128, seed=42, budget=budget, packed=True, rank=0, ranks=1)
    assert steps[0]["targets"] > 0
    print(time.perf_counter() - began)


if __name__ == "__main__":
    fire.Fire({"speed": speed, "memory": memory, "start": start})
