"""`python -m xllm plan`: what a run takes, before a GPU is paid for."""

from pathlib import Path

import numpy as np
from tabulate import tabulate

from xllm.artifacts import model_folder
from xllm.errors import XllmError
from xllm.files import write_json
from xllm.mixture.encoding import encode
from xllm.mixture.load import load_mixture
from xllm.models import load
from xllm.models.load import load_config, load_tokenizer
from xllm.templates import check_template
from xllm.training import memory, recipe
from xllm.training.flops import costs
from xllm.training.layout import order
from xllm.values import above_zero, whole_number

GIB = 2**30
PADDED = 4  # rows that the reference pads to the longest of them


def plan(
    base,
    mixture,
    *,
    gpus="8",
    gpu_memory="80",
    gpu_tflops="312",
    mfu="0.4",
    tokens_per_micro_batch="4096",
    global_batch_size=None,
    num_train_epochs=None,
    model_max_length="512",
    template="alpaca",
    data_dir=None,
    json=None,
):
    """Tell what tuning BASE on MIXTURE takes: steps, tokens, memory of each GPU by part, if it fits, and GPU hours.

    --gpus N of --gpu_memory GIB each share the model in bf16 over float32 weights. The hours are those at --gpu_tflops
    (of the GPU in bf16; 312 is an A100's) and --mfu, the share of it that is reached. --json FILE writes the same. No
    weights are read.
    """
    ranks, tokens = whole_number("gpus", gpus), whole_number("tokens_per_micro_batch", tokens_per_micro_batch)
    length = whole_number("model_max_length", model_max_length)
    room, peak, share = (
        above_zero("gpu_memory", gpu_memory),
        above_zero("gpu_tflops", gpu_tflops),
        above_zero("mfu", mfu),
    )
    if share > 1:
        raise XllmError(f"--mfu {mfu}: it is a share, 1 at most")
    check_template(template)
    source = model_folder.find(base)
    config = load_config(source)
    encoded = encode(load_mixture(mixture, "train", data_dir), load_tokenizer(source), template, length)
    if not len(encoded.rows):
        raise XllmError(f"no row has any response left within --model_max_length {length} tokens")
    rows = recipe.BATCH if global_batch_size is None else whole_number("global_batch_size", global_batch_size)
    skeleton = load.skeleton(config)
    settings = recipe.defaults(skeleton.num_parameters())
    epochs = (
        settings["num_train_epochs"] if num_train_epochs is None else above_zero("num_train_epochs", num_train_epochs)
    )
    data = amounts(encoded, rows, epochs)
    operations = epochs * sum(cost * data[what] for what, cost in costs(skeleton).items())
    hours = operations / (peak * 1e12 * share) / 3600
    ways = []
    for name, flags in WAYS.items():
        found = memory.estimate(config, max(tokens, encoded.longest), ranks, bf16=True, **flags)
        ways.append(
            {"way": name, **vars(found), "total": found.total, "fits": found.total <= memory.SPARE * room * GIB}
        )
    report = {
        "parameters": skeleton.num_parameters(),
        **data,
        "operations": operations,
        "gpu_hours": hours,
        "memory": ways,
    }
    print(table(report, ranks, room, share))
    if json is not None:
        write_json(Path(json), report)


WAYS = {
    "FSDP": {},
    "--activation_checkpointing True": {"checkpointing": True},
    "--cpu_offload": {"offload": True},
    "both": {"checkpointing": True, "offload": True},
}


def amounts(encoded, rows_a_step: int, epochs: float) -> dict:
    """What a mixture comes to: rows, steps, and of an epoch the tokens, target tokens, squares of lengths, and the
    share that the reference's way would have padded."""
    lengths = encoded.lengths.astype(np.int64)
    shuffled = lengths[order(len(lengths), 42, 0)]
    fours = np.pad(shuffled, (0, -len(shuffled) % PADDED)).reshape(-1, PADDED)
    return {
        "rows": len(lengths),
        "steps": int(np.ceil(np.ceil(len(lengths) / rows_a_step) * epochs)),
        "tokens": int(lengths.sum()),
        "targets": int(lengths.sum() - encoded.rows.data["prompt_length"].to_numpy().sum()),
        "squares": int((lengths**2).sum()),
        "padding_saved": float(1 - lengths.sum() / (PADDED * fours.max(1)).sum()),
    }


def table(report: dict, ranks: int, room: float, share: float) -> str:
    facts = [
        ["parameters", f"{report['parameters']:,}"],
        ["rows", f"{report['rows']:,}"],
        ["optimizer steps", f"{report['steps']:,}"],
        ["tokens an epoch", f"{report['tokens']:,}"],
        ["target tokens an epoch", f"{report['targets']:,}"],
        ["padding saved", f"{report['padding_saved']:.1%}"],
        ["GPU hours", f"{report['gpu_hours']:,.2f} at {share:.0%} MFU"],
        ["hours", f"{report['gpu_hours'] / ranks:,.2f} on {ranks} GPUs"],
    ]
    parts = ("weights", "gradients", "adam", "activations", "logits", "total")
    lines = [
        [way["way"], *(f"{way[part] / GIB:.1f}" for part in parts), "yes" if way["fits"] else "no"]
        for way in report["memory"]
    ]
    header = ["GiB on each GPU", *parts, f"fits into {room:g}"]
    aligned = ["left", *["right"] * (len(header) - 1)]
    return tabulate(facts, tablefmt="plain") + "\n\n" + tabulate(lines, header, disable_numparse=True, colalign=aligned)
