"""Where things are: the data of this package, and the user's data and models, which default to the working folder."""

import importlib.resources
import os
from pathlib import Path

from xllm.errors import XllmError


def own_data() -> Path:
    """The loading scripts, aliases and sample data of this package: in its folder once it is packed, else beside it,
    in data/ of the checkout."""
    package = Path(str(importlib.resources.files("xllm")))
    packed = package / "data"
    return packed if packed.is_dir() else package.parent / "data"


def data_root(data_dir: str | None = None) -> Path:
    """The folder of raw files: `data_dir`, else $XLLM_DATA_DIR, else data/ in the working folder, which may be missing.

    Raises XllmError where a folder was named that isn't there."""
    named = data_dir or os.environ.get("XLLM_DATA_DIR")
    root = Path(named or "data")
    if named and not root.is_dir():
        raise XllmError(f"the data root {str(root)!r} isn't a folder; set --data_dir or XLLM_DATA_DIR")
    return root.resolve()


def models() -> Path:
    """The folder of models: $XLLM_MODEL_DIR, else model/ in the working folder; it may be missing."""
    return Path(os.environ.get("XLLM_MODEL_DIR") or "model").absolute()
