"""How fast scores come, from the shell, start-up included: python benchmarks/evaluation.py [--repeats 5]

Gold answers of real datasets from the data root, some of their words or characters dropped, are scored:
  questions   1,190 rows of xquad_zh: exact match, F1, containment, shares, 1,000 bootstrap samples
  translation 1,012 rows of translation_flores_en-zh and of -el (the first again where there are fewer): BLEU and
              chrF++ with 1,000 bootstrap samples, and shares; beside it, on the same rows, sacrebleu's own command with
              the same metrics and samples, and without samples
Prints seconds, median and spread over the repeats, their ratio to sacrebleu's command, whether both give the same BLEU,
and whether torch was imported.
"""

import itertools
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fire
from tabulate import tabulate

from xllm.files import write_json, write_jsonl
from xllm.languages import bleu_tokenizer
from xllm.mixture.load import load_mixture


def main(repeats: int = 5) -> None:
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        model = Path(temporary)
        write_json(model / "config.json", {})
        answer(model, "xquad_zh", 1190)
        lines.append(["xquad_zh", *timed("xllm", evaluate(model, "xquad_zh"), repeats), ""])
        for language in ("zh", "el"):
            dataset = f"translation_flores_en-{language}"
            texts = answer(model, dataset, 1012)
            ways = {
                "xllm": evaluate(model, dataset),
                "sacrebleu, 1,000 samples": [*sacrebleu(texts, language), "--confidence", "--confidence-n", "1000"],
                "sacrebleu, no samples": sacrebleu(texts, language),
            }
            lines += [[dataset, *line] for line in compared(ways, repeats)]
            ours = json.loads((model / "test" / f"{dataset}.metrics.json").read_text())["scored"][0]["scores"][0]
            theirs = subprocess.run(ways["sacrebleu, no samples"], capture_output=True, text=True, check=True).stdout
            same = round(ours["value"], 2) == json.loads(theirs)[0]["score"]
            print(f"{dataset}: BLEU {ours['value']:.2f}, {'as' if same else 'NOT as'} sacrebleu's command")
        print(f"torch is imported: {imports_torch(model)}")
    print(tabulate(lines, ["dataset", "command", "seconds", "spread", "xllm is × as fast"], disable_numparse=True))


def answer(model: Path, dataset: str, count: int) -> tuple[Path, Path]:
    """Write answers to a dataset as `infer` would, and as text files."""
    mixture, draw = load_mixture(dataset, "test"), random.Random(1)
    rows = [
        {**row, "id": str(number), "prediction": worsened(row["output"], draw)}
        for number, row in enumerate(itertools.islice(itertools.cycle(mixture), count))
    ]
    write_jsonl(model / "test" / f"{dataset}.inference.jsonl", rows)
    write_json(model / "test" / f"{dataset}.run.json", {"mixture": mixture.facts()})
    texts = model / f"{dataset}.hypotheses", model / f"{dataset}.references"
    for path, column in zip(texts, ("prediction", "output"), strict=True):
        path.write_text("".join(row[column] + "\n" for row in rows), encoding="utf-8")
    return texts


def worsened(text: str, draw: random.Random) -> str:
    words = re.findall(r"\s*[a-zA-Z\u0370-\u03ff\u1f00-\u1fff]+|.", text)
    return "".join(word for word in words if draw.random() > 0.15)


def evaluate(model: Path, dataset: str) -> list:
    return [sys.executable, "-m", "xllm", "evaluate", model, dataset]


def sacrebleu(texts: tuple[Path, Path], language: str) -> list:
    command = [sys.executable, "-m", "sacrebleu", texts[1], "-i", texts[0], "-tok", bleu_tokenizer(language), "-w", "2"]
    return [*command, "-m", "bleu", "chrf", "--chrf-word-order", "2"]


def seconds(command: list) -> float:
    began = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return time.perf_counter() - began


def timed(name: str, command: list, repeats: int) -> list[str]:
    taken = [seconds(command) for _ in range(repeats)]
    return [name, f"{statistics.median(taken):.2f}", f"{min(taken):.2f} – {max(taken):.2f}"]


def compared(ways: dict[str, list], repeats: int) -> list[list[str]]:
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):  # in turn, so that what else the machine does meets all of them
        for name, command in ways.items():
            taken[name].append(seconds(command))
    lines = []
    for name, own in taken.items():
        ratios = [other / ours for other, ours in zip(own, taken["xllm"], strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})"
        lines.append([name, f"{statistics.median(own):.2f}", f"{min(own):.2f} – {max(own):.2f}", ratio])
    return lines


def imports_torch(model: Path) -> bool:
    code = (
        f"from xllm.__main__ import main; main(['evaluate', {str(model)!r}]); import sys; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1] == "True"


if __name__ == "__main__":
    fire.Fire(main)
