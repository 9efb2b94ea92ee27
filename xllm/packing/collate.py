"""Micro-batches as tensors: rows end to end, or padded to the longest."""

from typing import Any

import numpy as np
import torch

IGNORED = -100  # the label that a model's own loss leaves out


def packed_batch(
    ids: list[np.ndarray], prompt_lengths: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, Any]:
    """Rows end to end: `input_ids` and `position_ids` (starting anew with each row) as [1, tokens], the rows'
    `lengths`, and for each target token its id, the place of the token before it, and its row. Rows that don't count
    alike have `row_weights`."""
    lengths = [len(row) for row in ids]
    starts = np.cumsum([0, *lengths[:-1]])
    spans = list(zip(starts, prompt_lengths, lengths, strict=True))
    places = [start + np.arange(first - 1, length - 1) for start, first, length in spans]
    return {
        "input_ids": _tensor(np.concatenate(ids))[None],
        "position_ids": _tensor(np.concatenate([np.arange(length) for length in lengths]))[None],
        "lengths": lengths,
        "targets": _tensor(np.concatenate([row[first:] for row, first in zip(ids, prompt_lengths, strict=True)])),
        "places": _tensor(np.concatenate(places)),
        "target_rows": _tensor(np.repeat(np.arange(len(ids)), [len(place) for place in places])),
        **_weights(weights),
    }


def padded_batch(
    ids: list[np.ndarray], prompt_lengths: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, Any]:
    """Rows padded on the right: `input_ids`, `attention_mask` and `labels` as [rows, tokens], the `lengths`, and
    `row_weights` as above.

    Mask and labels go by length, never by token id: the pad token may be the eos token, which is trained on.
    """
    lengths = [len(row) for row in ids]
    shape = len(ids), max(lengths)
    tokens, labels = torch.zeros(shape, dtype=torch.long), torch.full(shape, IGNORED)
    mask = torch.zeros(shape, dtype=torch.long)
    for row, (values, first) in enumerate(zip(ids, prompt_lengths, strict=True)):
        tokens[row, : len(values)] = _tensor(values)
        mask[row, : len(values)] = 1
        labels[row, first : len(values)] = _tensor(values[first:])
    return {"input_ids": tokens, "attention_mask": mask, "labels": labels, "lengths": lengths, **_weights(weights)}


def _weights(weights: np.ndarray | None) -> dict[str, torch.Tensor]:
    return {} if weights is None else {"row_weights": torch.from_numpy(weights.astype(np.float32))}


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.int64))


def without_targets(batch: dict[str, Any]) -> dict[str, Any]:
    """The same micro-batch with nothing to learn: for a rank that has fewer than the others, which must still go
    through the model when they do."""
    if "labels" in batch:
        return batch | {"labels": torch.full_like(batch["labels"], IGNORED)}
    return batch | {name: batch[name][:0] for name in ("targets", "places", "target_rows")}
