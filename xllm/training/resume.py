"""The folder of a run, from its first moment to its last: model/<name>/ with `unfinished.json`, which says what makes
the model. A run that was interrupted goes on where the same command is given again, and no other takes its place.
"""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from xllm import locks
from xllm.artifacts.model_folder import UNFINISHED, is_finished
from xllm.artifacts.run_info import differences
from xllm.errors import XllmError
from xllm.files import open_to_readers, read_json, remove, sync, write_json
from xllm.training import checkpoint
from xllm.training.monitor import LOG

LOCK = "lock"  # in the folder, while a process works there

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


def check_place(folder: Path) -> None:
    """Raise XllmError where a new run would meet what isn't its own: a finished model, or any other file."""
    if not folder.exists():
        return
    if not folder.is_dir() or (is_finished(folder) and any(map(_foreign, folder.iterdir()))):
        raise XllmError(f"{folder} already exists; remove it, or give the new model a --name")


def _foreign(path: Path) -> bool:
    """Whether a file is none of those that a run makes before `unfinished.json` is there."""
    return path.name != LOCK and not path.name.endswith(".partial")


def check(folder: Path, settings: dict, keep: bool) -> None:
    """Raise XllmError where `folder` isn't this run's: another process is training there, it holds an unfinished run
    with other settings, or one with checkpoints where this run doesn't `keep` any."""
    check_place(folder)
    if not is_finished(folder):
        with _locked(folder):
            _check_settings(folder, settings, keep)


@contextmanager
def run(folder: Path, settings: dict, keep: bool) -> Iterator[None]:
    """Work in `folder`, which is a finished model's only once the block has ended well. Where it fails, the folder
    stays with its log and checkpoints; it goes if there are neither. Raises XllmError as `check` does."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        check_place(folder)  # anew: another process may have been here since
        _check_settings(folder, settings, keep)
        _begin(folder, settings)
        try:
            yield
            _finish(folder)
        finally:
            if _is_bare(folder):
                remove(folder)


def _locked(folder: Path) -> AbstractContextManager[None]:
    """Keep other processes out of a folder."""
    return locks.held(folder / LOCK, f"training in {folder}, log {folder / LOG}")


def _check_settings(folder: Path, settings: dict, keep: bool) -> None:
    if is_finished(folder):
        return
    found = sorted(set(differences(read_json(folder / UNFINISHED), _lasting(settings))))
    if not keep and checkpoint.last(folder) is not None:
        found.append("this one saves no checkpoints (--save_steps)")
    if found:
        raise XllmError(
            f"{folder} holds an unfinished run that isn't this one: {'; '.join(found)}; "
            f"to discard it: rm -r {shlex.quote(str(folder))}"
        )


def _begin(folder: Path, settings: dict) -> None:
    """Write down whose folder this is; what a run without any checkpoint left is removed."""
    write_json(folder / UNFINISHED, _lasting(settings))
    if checkpoint.last(folder) is None:
        for old in folder.iterdir():
            if old.name not in (UNFINISHED, LOCK):
                remove(old)
    print(f"log: {folder / LOG}", file=sys.stderr)


def _finish(folder: Path) -> None:
    """Remove what says that a run is unfinished, once all of the model is on the disk; then what only such a run needs,
    or a run killed in between would have nothing to go on with."""
    open_to_readers(folder)
    sync(folder)
    (folder / UNFINISHED).unlink()
    sync(folder)
    for path in [*folder.glob("checkpoint-*"), *folder.glob(".*.partial")]:
        remove(path)


def _is_bare(folder: Path) -> bool:
    """Whether an unfinished run has logged no step and saved none."""
    log = folder / LOG
    unlogged = not log.exists() or not log.stat().st_size
    return not is_finished(folder) and unlogged and checkpoint.last(folder) is None


def _lasting(settings: dict) -> dict:
    training = {name: value for name, value in settings["training"].items() if name not in FREE}
    return json.loads(json.dumps(settings | {"training": training}))
