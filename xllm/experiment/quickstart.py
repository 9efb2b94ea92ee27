"""The whole experiment in small: the commands of each stage, as one would type them, on the sample data."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from xllm import places
from xllm.cli import done
from xllm.errors import XllmError
from xllm.experiment.flags import QuickstartFlags

MIXTURE = "translation_daily_en-zh+alpaca_en"
TRAINING = ("--num_train_epochs", "1", "--learning_rate", "5e-4", "--global_batch_size", "8")
INFERENCE = ("--batch_size", "16", "--max_new_tokens", "48")
HELD_OUT = ("translation_daily_en-zh", "xquad_en")


def quickstart(flags: QuickstartFlags) -> None:
    """Go from nothing to a tuned model with scores; each command is shown before it runs. Run again, it does only what
    is missing. Raises XllmError where a command fails."""
    home, name = places.models(), flags.base.rstrip("/").split("/")[-1]
    tuned = f"{name}.{MIXTURE}.finetune"
    run = partial(_run, _environment(), flags.quiet)
    if not (home / name).exists():
        run("fetch", flags.base)
    if not _is_whole(home / tuned):
        run("train", name, MIXTURE, *TRAINING)
    for model in (name, tuned):
        for dataset in HELD_OUT:
            if not (home / model / "test" / f"{dataset}.inference.jsonl").exists():
                run("infer", model, dataset, *INFERENCE)
        run("evaluate", model, *HELD_OUT)
    run("compare", name, tuned, "--dataset", ",".join(HELD_OUT))
    done(then=f"xllm chat {tuned}")


def _environment() -> Mapping[str, str]:
    """The variables that the commands run under; shows those that are set here."""
    own = {"XLLM_DATA_DIR": str(places.own_data() / "sample")} | _one_gpu()
    for name, value in own.items():
        print(f"\n+ export {name}={shlex.quote(value)}", file=sys.stderr, flush=True)
    return os.environ | own


def _one_gpu() -> dict[str, str]:
    """Of several GPUs the first: a process computes on one, and the sample data take no more."""
    import torch

    if torch.cuda.device_count() < 2:
        return {}
    return {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}


def _is_whole(model: Path) -> bool:
    return (model / "config.json").is_file() and not (model / "unfinished.json").exists()


def _run(environment: Mapping[str, str], quiet: bool, *words: str) -> None:
    """Run a command of xllm. Raises XllmError where it fails, after it has told why."""
    words += ("--quiet",) if quiet else ()
    typed = shlex.join(["xllm", *words])
    print(f"\n+ {typed}", file=sys.stderr, flush=True)
    code = subprocess.run([sys.executable, "-m", "xllm", *words], env=environment).returncode
    if code:
        raise XllmError(f"the quickstart stopped: {typed} ended with exit code {code}; run it again to resume")
