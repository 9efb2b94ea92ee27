"""What training a model takes on each GPU, told from its configuration alone."""

from dataclasses import dataclass

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from transformers import AttentionInterface, PreTrainedModel

from xllm.models.load import skeleton
from xllm.packing.internals import body
from xllm.packing.loss import chunk_rows
from xllm.training.flops import matrices
from xllm.training.sharding import layers

TRACED = 256  # tokens that are sent through the model; what they leave behind grows with their number


@dataclass(frozen=True)
class Memory:
    """Bytes on a GPU at the worst moment, by part."""

    weights: int  # this rank's share in float32, and what is put together for the layers at work
    gradients: int
    adam: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return sum(vars(self).values())


def estimate(
    config,
    tokens: int,
    ranks: int,
    *,
    bf16: bool,
    checkpointing: bool = False,
    offload: bool = False,
    device: str = "cuda",
) -> Memory:
    """The memory of micro-batches of so many tokens on each of `ranks` that share the model.

    Exact are weights, gradients and Adam's two moments, in float32. What the layers keep for the backward pass is
    counted by sending tokens through the model on the meta device.
    """
    model = skeleton(config, torch.bfloat16 if bf16 else torch.float32)
    count, width = model.num_parameters(), 2 if bf16 else 4
    sizes = [sum(weight.numel() for weight in module.parameters()) for module in layers(model)]
    gathered = 0
    if ranks > 1:  # the layer at work and the next one, and what isn't in a layer; and a layer's whole gradient
        gathered = width * (2 * max(sizes) + count - sum(sizes)) + 4 * max(sizes)
    elif bf16:
        gathered = width * count  # autocast keeps what it has cast
    share = 0 if offload else 4 * count // ranks
    kept, head = kept_per_token(model), model.get_output_embeddings().weight.numel()
    if checkpointing:  # the inputs of all layers, and all of the one that is computed again
        kept = width * config.hidden_size * len(sizes) + kept // len(sizes)
    # the logits of a chunk and their gradient, the head's gradient as it is summed up and as it is handed on
    logits = 2 * 4 * config.vocab_size * min(tokens, chunk_rows(config.vocab_size, device)) + 4 * head
    return Memory(share + gathered, share, 2 * share, kept * tokens, logits)


def kept_per_token(model: PreTrainedModel) -> int:
    """Bytes that a token leaves behind for the backward pass in all layers of a `skeleton`."""
    own = {StorageWeakRef(tensor.untyped_storage()) for tensor in [*model.parameters(), *model.buffers()]}
    kept: dict[StorageWeakRef, torch.UntypedStorage] = {}  # held, so that none is taken for one that came later

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if (reference := StorageWeakRef(storage)) not in own:
            kept[reference] = storage
        return tensor

    model.train()
    if model.is_backend_compatible():
        AttentionInterface.register("traced", _traced_attention)
        model.set_attn_implementation("traced")
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            body(model)(input_ids=torch.zeros(1, TRACED, dtype=torch.long, device="meta"), use_cache=False)
    except (RuntimeError, NotImplementedError):  # it looks at values, which there are none of
        # as a rule, what goes into a matrix is kept, and what comes out goes into something else
        return sum(sum(matrix.shape) * matrix.dtype.itemsize for matrix in matrices(model))
    return sum(storage.nbytes() for storage in kept.values()) // TRACED


class _Traced(torch.autograd.Function):
    """Attention that keeps what a fused one keeps: its inputs and its output, no scores."""

    @staticmethod
    def forward(ctx, query, key, value):
        out = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, out)
        return out

    @staticmethod
    def backward(ctx, grad):
        raise NotImplementedError  # nothing is computed here


def _traced_attention(module, query, key, value, attention_mask, **_):
    return _Traced.apply(query, key, value).transpose(1, 2), None


LARGEST, ON_CPU = 16384, 512  # tokens of a micro-batch beyond which nothing is gained
SPARE = 0.9  # of a GPU's memory that is counted on; the rest goes to the context and to fragments


def budget(config, longest: int, ranks: int, **ways: bool) -> int:
    """Tokens of a micro-batch that fit into this machine's GPU: the largest power of two up to LARGEST, but no less
    than the `longest` row; on a CPU, where little is gained by more, ON_CPU. `ways` are those of `estimate`."""
    if not torch.cuda.is_available():
        return max(ON_CPU, longest)
    available, tokens = SPARE * torch.cuda.mem_get_info()[1], LARGEST
    while tokens > longest and estimate(config, tokens, ranks, **ways).total > available:
        tokens //= 2
    return max(tokens, longest)
