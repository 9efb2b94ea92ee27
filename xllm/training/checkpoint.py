"""Checkpoints: all that a run needs to go on as if it had never stopped, whole or not there.

Each rank writes what it holds: `<rank>.safetensors` (weights, optimizer state, random state) and `<rank>.json` (what of
them isn't a tensor). No rank sends anything, so a checkpoint costs the time of writing it; it goes with one number of
processes.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor
from transformers import Trainer, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from xllm.errors import XllmError
from xllm.files import partial, remove
from xllm.training.sharding import untied_state

NAME = re.compile(r"checkpoint-(\d+)")


def last(folder: Path) -> Path | None:
    """The newest whole checkpoint in a folder."""
    found = [path for path in folder.glob("checkpoint-*") if NAME.fullmatch(path.name)]
    return max(found, key=lambda path: int(NAME.fullmatch(path.name)[1]), default=None)


def step_of(path: Path | None) -> int:
    """The optimizer steps that a checkpoint has behind it; 0 for none."""
    return int(NAME.fullmatch(path.name)[1]) if path else 0


def save(trainer: Trainer, folder: Path, unlogged: dict[str, Any]) -> None:
    """Save the step that a trainer is at, with what has been summed up since its last line of the log, and remove the
    checkpoints before it. Every rank calls it.

    Raises XllmError where it can't be written; older checkpoints are then as they were.
    """
    path, before = folder / f"checkpoint-{trainer.state.global_step}", last(folder)
    place, first = partial(path), trainer.args.process_index == 0
    try:
        if first:
            remove(place)
            place.mkdir(parents=True)
        wait()
        _write(trainer, place, unlogged)
        if first:
            trainer.state.save_to_json(str(place / TRAINER_STATE_NAME))
        wait()
    except (OSError, SafetensorError) as error:
        remove(place)
        older = f"{before.name} is whole" if before else "there is none before it"
        raise XllmError(
            f"cannot save {path}: {error}; {older}: make room, then run the same command again to resume"
        ) from error
    if first:
        place.replace(path)
        for old in folder.glob("checkpoint-*"):
            if old != path:
                remove(old)


def restore_end(trainer: Trainer, path: Path) -> bool:
    """Put a trainer where it was at its very last step, if that is what it saved; Trainer would do one step more."""
    state = TrainerState.load_from_json(str(path / TRAINER_STATE_NAME))
    if state.global_step < state.max_steps:
        return False
    _restore_weights(trainer, path)
    trainer.state = state
    return True


def restore(trainer: Trainer, path: Path) -> None:
    """Put a trainer where it was when it saved a checkpoint; its own state (trainer_state.json) apart."""
    tensors = _restore_weights(trainer, path)
    facts = json.loads((path / f"{_name(trainer)}.json").read_text())
    optimizer = trainer.optimizer
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict] = {}
    for key, tensor in tensors.items():
        kind, _, rest = key.partition(" ")
        if kind in ("state", "shard"):
            number, _, entry = rest.partition(" ")
            parameter = parameters[int(number)]
            state.setdefault(int(number), {})[entry] = _like(parameter, tensor) if kind == "shard" else tensor
    for number, entries in facts["state"].items():
        state.setdefault(int(number), {}).update(entries)
    numbers = iter(range(len(parameters)))
    groups = [group | {"params": [next(numbers) for _ in group["params"]]} for group in optimizer.param_groups]
    groups = [group | saved for group, saved in zip(groups, facts["groups"], strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    trainer.lr_scheduler.load_state_dict(facts["scheduler"])
    if (scaler := trainer.accelerator.scaler) is not None:
        scaler.load_state_dict(facts["scaler"])


def restore_random(trainer: Trainer, path: Path) -> None:
    """Put what is random where it was when a checkpoint was saved: the last thing before a step, since the loader
    draws from it, too."""
    with safe_open(path / f"{_name(trainer)}.safetensors", "pt") as file:
        torch.set_rng_state(file.get_tensor("random"))
        if torch.cuda.is_available():
            torch.cuda.set_rng_state(file.get_tensor("random cuda"))


def unlogged(trainer: Trainer, path: Path) -> dict[str, Any]:
    """What had been summed up since the last line of the log when a trainer saved a checkpoint."""
    found: dict[str, Any] = json.loads((path / f"{_name(trainer)}.json").read_text())["unlogged"]
    return found


def _restore_weights(trainer: Trainer, path: Path) -> dict[str, torch.Tensor]:
    """Put the weights of a checkpoint into a trainer's model. Returns all tensors that the checkpoint has."""
    name = _name(trainer)
    if not (path / f"{name}.json").exists():
        raise XllmError(f"{path} isn't of {trainer.args.world_size} processes; start as many as before, or remove it")
    with safe_open(path / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  it is no dict
    with torch.no_grad():
        for key, weight in untied_state(trainer.model).items():
            _local(weight).copy_(tensors[f"weight {key}"])
    return tensors


def _write(trainer: Trainer, place: Path, unlogged: dict[str, Any]) -> None:
    tensors = {f"weight {key}": _local(weight) for key, weight in untied_state(trainer.model).items()}
    tensors["random"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random cuda"] = torch.cuda.get_rng_state()
    saved = trainer.optimizer.state_dict()
    rest: dict[int, dict] = {}
    for number, entries in saved["state"].items():
        for entry, value in entries.items():
            if isinstance(value, torch.Tensor):
                kind = "shard" if isinstance(value, DTensor) else "state"
                tensors[f"{kind} {number} {entry}"] = _local(value)
            else:
                rest.setdefault(number, {})[entry] = value
    groups = [{key: value for key, value in group.items() if key != "params"} for group in saved["param_groups"]]
    facts = {"groups": groups, "state": rest, "scheduler": trainer.lr_scheduler.state_dict(), "unlogged": unlogged}
    if (scaler := trainer.accelerator.scaler) is not None:
        facts["scaler"] = scaler.state_dict()
    name = _name(trainer)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, place / f"{name}.safetensors")
    (place / f"{name}.json").write_text(json.dumps(facts))
    for file in place.glob(f"{name}.*"):
        with file.open("rb") as written:
            os.fsync(written.fileno())


def _name(trainer: Trainer) -> str:
    return f"rank-{trainer.args.process_index}-of-{trainer.args.world_size}"


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _like(parameter: DTensor, local: torch.Tensor) -> DTensor:
    return DTensor.from_local(
        local.to(parameter.to_local().device),
        parameter.device_mesh,
        parameter.placements,
        shape=parameter.shape,
        stride=parameter.stride(),
        run_check=False,
    )


def wait() -> None:
    """Until every process is here."""
    if dist.is_initialized():
        dist.barrier()
