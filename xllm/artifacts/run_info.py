"""run.json: what made an output, written beside it so that every number can be traced and repeated."""

import os
import platform
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from xllm import __version__
from xllm.cli import Flags
from xllm.files import write_json

PACKAGES = ("torch", "transformers", "datasets", "accelerate", "tokenizers", "sentencepiece", "sacrebleu", "vllm")


class RunInfo:
    """Collects the facts of a run from its start; `write` adds how long it took."""

    def __init__(self, command: str, flags: Flags) -> None:
        self.began = time.time()
        self.facts = {
            "command": ["python", "-m", "xllm", command, *flags.typed],
            "arguments": flags.settings,  # those of --config, too
            "started": datetime.fromtimestamp(self.began, timezone.utc).isoformat(timespec="seconds"),
            "versions": {"xllm": __version__, "python": platform.python_version(), **_versions()},
            "hardware": _hardware(),
        }

    def write(self, path: Path, **facts: Any) -> None:
        """Write the facts and `facts` to `path`, whole or not at all."""
        write_json(path, {**self.facts, **facts, "seconds": round(time.time() - self.began, 1)})


def differences(old: object, new: object, name: str = "") -> Iterator[str]:
    """Where two sets of facts, as read from JSON, differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from differences(old.get(key), new.get(key), f"{name} {key}".strip())
    elif old != new:
        yield f"{name} was {old!r} and is {new!r}"


def _versions() -> dict[str, str]:
    found = {package: _version(package) for package in PACKAGES}
    return {package: version for package, version in found.items() if version}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _hardware() -> dict[str, Any]:
    facts: dict[str, Any] = {"platform": platform.platform(), "cpus": os.cpu_count()}
    if "torch" in sys.modules:
        cuda = sys.modules["torch"].cuda
        facts["gpus"] = [cuda.get_device_name(i) for i in range(cuda.device_count())]
    return facts
