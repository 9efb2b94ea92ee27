"""FSDP2: every rank holds a part of each weight, and the ranks put a layer together when it is its turn.

torch's `fully_shard` is called here rather than by accelerate, which doesn't do it on CPUs: so the same code runs, and
is tested, on two CPU processes.
"""

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.core_model_loading import build_glob_alternation

from xllm.errors import XllmError


def shard(model: PreTrainedModel, *, bf16: bool, group: int | None = None, cpu_offload: bool = False) -> None:
    """Shard a model with float32 weights over all ranks, in place; in bf16 it computes in bf16 and adds gradients up in
    float32.

    `group`: so many ranks share one copy of the model, and the groups hold copies of one another (HSDP). `cpu_offload`
    keeps weights, gradients and optimizer in the machine's memory.
    """
    settings = {
        "mesh": _mesh(group),
        "reshard_after_forward": True,
        "offload_policy": CPUOffloadPolicy() if cpu_offload else OffloadPolicy(),
        "mp_policy": MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy(),
    }
    for layer in layers(model):
        fully_shard(layer, **settings)
    fully_shard(model, **settings)
    assert all(isinstance(weight, DTensor) and weight.dtype == torch.float32 for weight in model.parameters())


def layers(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The layers that are put together one at a time: those that the model's class says may not be split."""
    names = model._no_split_modules or ()  # noqa: SLF001  nothing public names the class of a model's layers
    found = [module for module in model.modules() if type(module).__name__ in names]
    if not found:
        raise XllmError(f"a {model.config.model_type} model doesn't say what its layers are, so it can't be sharded")
    return found


def _mesh(group: int | None) -> DeviceMesh:
    device, ranks = ("cuda" if torch.cuda.is_available() else "cpu"), dist.get_world_size()
    if group is None or group == ranks:
        return init_device_mesh(device, (ranks,))
    return init_device_mesh(device, (ranks // group, group), mesh_dim_names=("replicate", "shard"))


def untied_state(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The weights and what else a model keeps, by name; tied weights once, since they are the same tensor."""
    return {name: value for name, value in model.state_dict().items() if name not in model.all_tied_weights_keys}


def whole_weights(model: PreTrainedModel, dtype: torch.dtype, *, keep: bool) -> dict[str, torch.Tensor]:
    """The weights in `dtype`, put together one at a time on the CPU, for the rank that is to `keep` them; {} for the
    others. What the family wants in float32 stays so, and so do buffers, which aren't weights."""
    state, cast = {}, {name for name, _ in model.named_parameters()} - float32_names(model)
    for name, weight in untied_state(model).items():
        if isinstance(weight, DTensor):
            weight = weight.to(torch.device("cuda")) if torch.cuda.is_available() else weight  # from where it was put
            weight = weight.full_tensor()
        if keep:
            state[name] = weight.to("cpu", dtype if name in cast else weight.dtype)
    return state


def float32_names(model: PreTrainedModel) -> set[str]:
    """The names of what a family's class keeps in float32 when a model is loaded in half precision."""
    plan = model._get_dtype_plan(torch.float16)  # noqa: SLF001  nothing public names them, as patterns or otherwise
    if not plan:
        return set()
    pattern, *_ = build_glob_alternation(list(plan))
    return {name for name in model.state_dict() if pattern.search(name)}
