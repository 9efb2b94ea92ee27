"""Floating point operations: how many a model needs, and how many this machine does in a second."""

import statistics
import time
from collections import Counter
from typing import Any

import torch
from transformers import PreTrainedModel

TRIES, LASTING = 5, 0.1  # of a matrix product, to find how fast it is: how often at least, and how many seconds


def costs(model: PreTrainedModel) -> dict[str, int]:
    """Floating point operations, forward and backward (three times forward), for each of a step's `tokens` (the
    layers), `targets` (the projection onto the vocabulary) and `squares` of the rows' lengths (causal attention)."""
    head: Any = model.get_output_embeddings()
    return {
        "tokens": 6 * sum(matrix.numel() for matrix in matrices(model)),
        "targets": 6 * head.weight.numel(),
        "squares": 6 * _attention_width(model.config),
    }


def _attention_width(config: Any) -> int:
    """The sizes of all heads of all layers that attend; 0 for a model without attention."""
    heads = getattr(config, "num_attention_heads", None)
    if not isinstance(heads, int):
        return 0
    types = getattr(config, "layer_types", None) or ["attention"] * config.num_hidden_layers
    attending = sum("attention" in kind and "linear" not in kind for kind in types)
    return attending * heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)


def matrices(model: PreTrainedModel) -> list[torch.Tensor]:
    """The weights of the layers that tokens are multiplied by."""
    apart = {model.get_input_embeddings(), model.get_output_embeddings()}
    owners = [
        module for module in model.modules() if module not in apart and not isinstance(module, torch.nn.Embedding)
    ]
    return [weight for module in owners for weight in module.parameters(recurse=False) if weight.ndim == 2]


def matrix_rate(model: PreTrainedModel, tokens: int, dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s of torch.mm on this machine at this model's shapes: those of a micro-batch going through the matrices of
    the layers, each with its share of the work; over so long that it is a rate that lasts."""
    shapes = Counter((matrix.shape[0], matrix.shape[1]) for matrix in matrices(model))
    seconds = sum(
        count * _product_seconds(tokens, rows, columns, dtype, device) for (rows, columns), count in shapes.items()
    )
    return 2 * tokens * sum(count * rows * columns for (rows, columns), count in shapes.items()) / seconds


def _product_seconds(tokens: int, rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> float:
    left = torch.randn(tokens, columns, dtype=dtype, device=device)
    right = torch.randn(columns, rows, dtype=dtype, device=device)
    taken: list[float] = []
    while sum(taken) < LASTING or len(taken) < TRIES:
        began = time.perf_counter()
        torch.mm(left, right)
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
