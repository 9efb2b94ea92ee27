"""Runs that were interrupted: they go on where the same command is given again, and no other takes their place."""

import json
from pathlib import Path

from xllm.artifacts.model_folder import UNFINISHED
from xllm.artifacts.run_info import differences
from xllm.errors import XllmError
from xllm.files import read_json, remove, write_json
from xllm.training import checkpoint

# what a run may differ in from the one that it goes on with
FREE = (
    "output_dir",
    "logging_dir",
    "logging_steps",
    "report_to",
    "run_name",
    "save_steps",
    "save_strategy",
    "dataloader_num_workers",
    "disable_tqdm",
    "local_rank",
)


def check(folder: Path, settings: dict, keep: bool) -> None:
    """Raise XllmError where `folder` holds checkpoints of a run with other settings, or where this run doesn't `keep`
    any."""
    if checkpoint.last(folder) is None:
        return
    found = sorted(set(differences(read_json(folder / UNFINISHED), _lasting(settings))))
    if not keep:
        found.append("this one saves no checkpoints (--save_steps)")
    if found:
        raise XllmError(
            f"{folder} holds an unfinished run that isn't this one: {'; '.join(found)}; to drop it: rm -r {folder}"
        )


def begin(folder: Path, settings: dict) -> None:
    """Write down whose folder this is; what a run without any checkpoint left is removed."""
    if checkpoint.last(folder) is None:
        for old in folder.iterdir():
            remove(old)
    write_json(folder / UNFINISHED, _lasting(settings))


def clear(folder: Path) -> None:
    """Remove what only an unfinished run needs."""
    for path in [folder / UNFINISHED, *folder.glob("checkpoint-*")]:
        remove(path)


def _lasting(settings: dict) -> dict:
    training = {name: value for name, value in settings["training"].items() if name not in FREE}
    return json.loads(json.dumps(settings | {"training": training}))
