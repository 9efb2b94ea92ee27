"""`xllm weight_diff`: a tuned model as its difference from a base that may not be passed on.

As Stanford Alpaca's script of this name, but exact: bit patterns are subtracted, not numbers, and nothing is rounded.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from xllm import files
from xllm.artifacts import model_folder
from xllm.cli import done
from xllm.errors import XllmError
from xllm.files import read_json, write_json
from xllm.models.flags import WeightDiffFlags

FACTS = "weight_diff.json"
KEPT = ("*.json", "*.model", "*.jinja", "*.md", "*.txt", "*.jsonl", "*.png")  # of the tuned model, besides its weights


def weight_diff(flags: WeightDiffFlags) -> None:
    """`make BASE TUNED DIFF` writes the folder DIFF; `recover BASE DIFF TUNED` makes the tuned model from it again,
    each file checked by its sha256."""
    folder, source = Path(flags.output), Path(model_folder.find(flags.model))
    if folder.exists():
        raise XllmError(f"{folder} already exists; remove it, or name another folder")
    weights = Weights(Path(model_folder.find(flags.base)))
    with files.whole(folder) as place:
        place.mkdir()
        WORK[flags.what](weights, source, place)
    print(folder)
    done(then=NEXT[flags.what])


def make(base: "Weights", tuned: Path, place: Path) -> None:
    """Write the difference of each weight, the files that go with it, and what all of it must hash to."""
    weights = Weights(tuned)
    _subtract(base, weights, place, sign=-1)
    kept = {path.name: path for pattern in KEPT for path in sorted(tuned.glob(pattern)) if path.name != FACTS}
    for path in kept.values():
        _copy(path, place)
    facts = {
        "base": base.sha256(),
        "tuned": weights.sha256(),
        "files": {name: files.sha256(place / name) for name in sorted(kept)},
    }
    write_json(place / FACTS, facts)


def recover(base: "Weights", diff: Path, place: Path) -> None:
    """Write the tuned model. Raises XllmError where the base isn't the one, or what was passed on isn't what was made:
    it comes from others, so that no link out of the folder is followed, and nothing is taken that isn't listed."""
    facts = _facts(diff)
    if base.sha256() != facts["base"]:
        raise XllmError(f"{base.folder} isn't the base that {diff} was made with: its weights have another sha256")
    for name, sha256 in facts["files"].items():
        path = diff / name
        if path.name != name or not path.is_file():
            raise XllmError(f"{diff} lacks {name}, which it was made with; get it again")
        if files.sha256(path) != sha256:
            raise XllmError(f"{path} isn't the file that was made: it has another sha256; get it again")
        _copy(path, place)
    _subtract(base, Weights(diff), place, sign=1)
    if Weights(place).sha256() != facts["tuned"]:
        raise XllmError(f"what {diff} gives isn't the tuned model: its weights have another sha256; is it damaged?")


def _facts(diff: Path) -> dict[str, Any]:
    """What a difference must hash to. No link out of its folder is followed, not even to these."""
    if not (diff / FACTS).is_file():
        raise XllmError(f"{diff} is not a weight diff: it has no {FACTS}")
    for path in sorted(diff.iterdir()):
        if not _is_within(path, diff):
            raise XllmError(f"{path} leads out of the folder, to {os.path.realpath(path)}; nothing is read from there")
    facts = read_json(diff / FACTS)
    texts = isinstance(facts, dict) and [facts.get("base"), facts.get("tuned")]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise XllmError(f"{diff / FACTS} doesn't say what base and tuned model must be; get it again")
    if not isinstance(facts.get("files"), dict):
        raise XllmError(f"{diff} was made by another version of xllm; make it again: xllm weight_diff make")
    return facts


def _copy(path: Path, place: Path) -> None:
    if not path.is_file():
        raise XllmError(f"{path} isn't a file, and can't be passed on")
    shutil.copyfile(path, place / path.name)


def _is_within(path: Path, folder: Path) -> bool:
    """Whether a file is in a folder, behind all links; the hub's cache has its files beside its snapshots."""
    home = folder.resolve()
    homes = [home, home.parent.parent / "blobs"] if model_folder.snapshot(str(folder)) else [home]
    found = Path(os.path.realpath(path))  # which takes links that lead to themselves, too
    return any(found.is_relative_to(own) for own in homes)


WORK = {"make": make, "recover": recover}
NEXT = {
    "make": "pass the folder on; there: xllm weight_diff recover BASE DIFF TUNED",
    "recover": "xllm infer MODEL DATASET",
}


class Weights:
    """The weights in a folder of safetensors, read one at a time."""

    def __init__(self, folder: Path) -> None:
        from safetensors import safe_open

        self.folder, self.files = folder, sorted(folder.glob("*.safetensors"))
        if not self.files:
            raise XllmError(f"{folder} has no weights in safetensors")
        opened = [safe_open(path, "pt") for path in self.files]
        self.places = {name: file for file in opened for name in file.keys()}  # noqa: SIM118  it is no dict

    def get(self, name: str) -> Any:
        return self.places[name].get_tensor(name)

    def sha256(self) -> str:
        """Of the names, types, shapes and bytes of all weights, however they are spread over files."""
        import torch

        digest = hashlib.sha256()
        for name in sorted(self.places):
            tensor = self.get(name).contiguous()
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.flatten().view(torch.uint8).numpy())
        return digest.hexdigest()


def _subtract(base: Weights, other: Weights, place: Path, sign: int) -> None:
    """Add to each weight of `other` that of the base, times `sign`, as whole numbers that wrap around. A weight that
    the base lacks, or has in another shape, stays as it is."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    whole = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    for path in other.files:
        tensors = {}
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            for name in file.keys():  # noqa: SIM118  it is no dict
                tensors[name] = tensor = file.get_tensor(name)
                if name in base.places and (own := base.get(name)).shape == tensor.shape:
                    bits = whole[tensor.element_size()]
                    tensors[name] = (tensor.view(bits) + sign * own.to(tensor.dtype).view(bits)).view(tensor.dtype)
        save_file(tensors, place / path.name, metadata)
