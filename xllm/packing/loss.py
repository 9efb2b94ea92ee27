"""The loss of target tokens, without the logits of a whole micro-batch."""

from typing import Any

import torch
import torch.nn.functional as F

# logits that exist at a time: 32 MiB of float32, which stay in a CPU's cache; 512 MiB, which keep a GPU busy
CHUNK = {"cpu": 2**23, "cuda": 2**27}


def chunk_rows(vocab_size: int, device: str) -> int:
    """How many targets' logits over the vocabulary exist at a time."""
    return max(1, CHUNK["cpu" if device == "cpu" else "cuda"] // vocab_size)


class _Chunked(torch.autograd.Function):
    """Losses and gradients are made together, chunk by chunk, so that no chunk's logits outlive it and none is computed
    twice."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        softcap: float | None,
        weights: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        losses = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        parameters = [weight] if bias is None else [weight, bias]
        sums = [torch.zeros_like(parameter, dtype=torch.float32) for parameter in parameters]
        hidden_grad = torch.empty_like(hidden)
        size = chunk_rows(weight.shape[0], weight.device.type)
        for start in range(0, len(targets), size):
            part = slice(start, start + size)
            raw = F.linear(hidden[part], weight, bias)
            losses[part], grad = _cross_entropy(raw.float(), targets[part], softcap)
            if weights is not None:
                grad.mul_(weights[part, None])
            grad = grad.to(raw.dtype)
            hidden_grad[part] = grad @ weight.to(raw.dtype)
            _add_product(sums[0], grad, hidden[part].to(raw.dtype))
            if bias is not None:
                sums[1] += grad.sum(0)
        ctx.save_for_backward(
            hidden_grad, *(total.to(parameter.dtype) for total, parameter in zip(sums, parameters, strict=True))
        )
        ctx.mark_non_differentiable(losses)
        return (losses if weights is None else losses * weights).sum(), losses

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor, _: Any) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, *bias = (total.mul_(grad) for total in ctx.saved_tensors)
        return hidden, weight, *(bias or [None]), None, None, None


def _cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, softcap: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each row of logits and its gradient, which takes the place of the logits."""
    slope = None
    if softcap is not None:
        logits = logits.div_(softcap).tanh_()
        slope = 1 - logits**2
        logits.mul_(softcap)
    total = logits.logsumexp(-1)
    losses = total - logits.gather(-1, targets[:, None])[:, 0]
    grad = logits.sub_(total[:, None]).exp_()
    grad[torch.arange(len(targets), device=targets.device), targets] -= 1
    return losses, grad if slope is None else grad.mul_(slope)


def _add_product(total: torch.Tensor, grad: torch.Tensor, hidden: torch.Tensor) -> None:
    if grad.dtype == total.dtype:
        total.addmm_(grad.T, hidden)
    else:
        total += grad.T @ hidden


def chunked_loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    targets: torch.Tensor,
    softcap: float | None = None,
    weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The cross-entropy of target tokens, summed with their `weights`, and of each (float32, without gradient).

    hidden is [targets, size], what the model says before each target; weight [vocab_size, size] and bias project it
    onto the vocabulary; softcap bounds the logits, as in Gemma 2. Equal to the plain loss but for the order of the
    sums.
    """
    return _Chunked.apply(hidden, weight, bias, targets, softcap, weights)
