"""What a model's own loss has besides the cross-entropy of its targets."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from xllm.errors import XllmError
from xllm.packing.collate import IGNORED, padded_batch
from xllm.packing.structure import FAULTS, some_ids

ROUNDING = 1e-5  # of a loss in float32, relative
WEIGHTS = ("router_aux_loss_coef", "aux_loss_coef")  # as models call the weight of `aux_loss`


def aux_weight(model: PreTrainedModel, original: Callable[..., Any]) -> float:
    """The weight in a model's own loss of what balances the load of its experts (`aux_loss`, where its configuration
    has `output_router_logits`). `original` is its own forward.

    Raises XllmError where that and the mean cross-entropy of the next tokens isn't all of it, as two rows show.
    """
    rows = [some_ids(model, length).numpy() for length in (9, 6)]
    batch = padded_batch(rows, torch.tensor([4, 2]).numpy())
    labels = batch["labels"].to(model.device)
    try:
        with torch.no_grad():
            said = original(**own_inputs(batch, model), labels=labels)
    except FAULTS:  # it takes no labels
        return 0.0
    if getattr(said, "loss", None) is None:
        return 0.0
    rest, weight = said.loss.float() - cross_entropy(said.logits, labels).sum() / targets(labels), 0.0
    if torch.is_tensor(balance := getattr(said, "aux_loss", None)):
        weight = float(next((getattr(model, name) for name in WEIGHTS if hasattr(model, name)), 0.0))
        rest = rest - weight * balance
    if rest.abs() > ROUNDING * said.loss.abs():  # not where it is no number: the first loss of the run tells of that
        raise XllmError(
            f"a {model.config.model_type} model can't be trained here: its own loss isn't that of the next tokens"
        )
    return weight


def own_inputs(batch: dict[str, Any], model: PreTrainedModel) -> dict[str, Any]:
    """What a model is called with for padded rows."""
    return {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")} | {"use_cache": False}


def targets(labels: torch.Tensor) -> int:
    """How many tokens are trained on."""
    return int((labels[:, 1:] != IGNORED).sum())


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss of each target, and 0 where there is none: [rows, tokens - 1] from `logits` [rows, tokens, vocab_size]
    and `labels` [rows, tokens]."""
    return F.cross_entropy(logits[:, :-1].float().transpose(1, 2), labels[:, 1:], reduction="none")
