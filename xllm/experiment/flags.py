"""The command line of quickstart."""

from dataclasses import dataclass

from xllm.cli import Flags, flag


@dataclass(frozen=True)
class QuickstartFlags(Flags):
    base: str = flag("The model to start from: what fetch gets, or a folder under model/.", "smollm2-135m")
