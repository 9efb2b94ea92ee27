"""`xllm plan`: what a run takes, before a GPU is paid for."""

import shlex
from pathlib import Path

import numpy as np
from tabulate import tabulate

from xllm.artifacts import model_folder
from xllm.cli import done
from xllm.files import write_json
from xllm.mixture.encoding import check_any, check_ids, encode
from xllm.mixture.load import load_mixture
from xllm.models.load import load_causal_config, load_tokenizer, skeleton
from xllm.templates import check_text_field
from xllm.training import memory, recipe
from xllm.training.flags import PlanFlags
from xllm.training.flops import costs
from xllm.training.layout import order

GIB = 2**30
PADDED = 4  # rows that the reference pads to the longest of them


def plan(flags: PlanFlags) -> None:
    """Tell what tuning a base on a mixture takes: steps, tokens, memory of each GPU by part, if it fits, and GPU hours.

    No weights are read.
    """
    source = model_folder.find(flags.base)
    config, length = load_causal_config(source), flags.model_max_length
    check_text_field(flags.text_field, flags.template)
    mixture = load_mixture(flags.mixture, "train", flags.data_dir)
    tokenizer = load_tokenizer(source, flags.special_tokens_in_data)
    encoded = encode(mixture, tokenizer, flags.template, length, text_field=flags.text_field)
    check_any(encoded, length)
    check_ids(encoded, config.vocab_size, flags.base)
    model = skeleton(config)
    epochs = flags.num_train_epochs or recipe.defaults(model.num_parameters())["num_train_epochs"]
    data = amounts(encoded, flags.global_batch_size, epochs)
    operations = epochs * sum(cost * data[what] for what, cost in costs(model).items())
    report = {
        "parameters": model.num_parameters(),
        **data,
        "operations": operations,
        "gpu_hours": operations / (flags.gpu_tflops * 1e12 * flags.mfu) / 3600,
        "memory": ways(flags, config, encoded.longest),
    }
    print(table(report, flags.gpus, flags.gpu_memory, flags.mfu))
    if flags.json is not None:
        write_json(Path(flags.json), report)
    done(*filter(None, [flags.json]), then=f"xllm train {flags.base} {shlex.quote(flags.mixture)}")


def ways(flags: PlanFlags, config, longest: int) -> list[dict]:
    """What each of WAYS takes of a GPU's memory, in bytes by part, and whether it fits."""
    found = []
    for name, how in WAYS.items():
        part = memory.estimate(config, max(flags.tokens_per_micro_batch, longest), flags.gpus, bf16=True, **how)
        fits = part.total <= memory.SPARE * flags.gpu_memory * GIB
        found.append({"way": name, **vars(part), "total": part.total, "fits": fits})
    return found


WAYS = {
    "FSDP": {},
    "--activation_checkpointing True": {"checkpointing": True},
    "--cpu_offload": {"offload": True},
    "both": {"checkpointing": True, "offload": True},
}


def amounts(encoded, rows_a_step: int, epochs: float) -> dict:
    """What a mixture comes to: rows, those that are dropped, steps, and of an epoch the tokens, target tokens, squares
    of lengths, and the share that the reference's way would have padded."""
    lengths = encoded.lengths.astype(np.int64)
    shuffled = lengths[order(len(lengths), 42, 0)]
    fours = np.pad(shuffled, (0, -len(shuffled) % PADDED)).reshape(-1, PADDED)
    return {
        "rows": len(lengths),
        "dropped": len(lengths) - len(encoded.kept),
        "steps": int(np.ceil(np.ceil(len(lengths) / rows_a_step) * epochs)),
        "tokens": int(lengths.sum()),
        "targets": int(lengths.sum() - encoded.rows.data["prompt_length"].to_numpy().sum()),
        "squares": int((lengths**2).sum()),
        "padding_saved": float(1 - lengths.sum() / (PADDED * fours.max(1)).sum()),
    }


def table(report: dict, ranks: int, room: float, share: float) -> str:
    facts = [
        ["parameters", f"{report['parameters']:,}"],
        ["rows", f"{report['rows']:,}" + (f", {report['dropped']:,} of them dropped" if report["dropped"] else "")],
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
