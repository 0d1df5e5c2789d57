"""Sigmoid focal loss (Lin et al., ICCV 2017) in plain torch."""

import torch
from torch import Tensor


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    """Focal loss of each logit, ``-alpha_t (1 - p_t)^gamma log p_t``.

    Args:
        input: (N, C) float logits.
        target: (N,) int64 class in [0, C], C for the background.
        weight: (C,) float per class, or empty for none.
        output: (N, C) float, written.
        gamma: Focusing exponent, >= 0.
        alpha: Share of the positives, in [0, 1].
    """
    p, positive, tiny = _parts(input, target)
    gain = alpha * (1 - p).pow(gamma) * p.clamp(min=tiny).log()
    loss = (1 - alpha) * p.pow(gamma) * (1 - p).clamp(min=tiny).log()
    output.copy_(_weighted(-torch.where(positive, gain, loss), target, weight))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, *, gamma: float, alpha: float
) -> None:
    """Derivative of each element of the loss with respect to its own logit.

    Args:
        input: (N, C) float logits.
        target: (N,) int64 class in [0, C], C for the background.
        weight: (C,) float per class, or empty for none.
        grad_input: (N, C) float, written.
        gamma: Focusing exponent, >= 0.
        alpha: Share of the positives, in [0, 1].
    """
    p, positive, tiny = _parts(input, target)
    q = 1 - p
    gain = alpha * q.pow(gamma) * (q - gamma * p * p.clamp(min=tiny).log())
    loss = (1 - alpha) * p.pow(gamma) * (gamma * q * q.clamp(min=tiny).log() - p)
    grad_input.copy_(_weighted(-torch.where(positive, gain, loss), target, weight))


def _parts(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, float]:
    """Probabilities, where the class is the target's, and the least argument of a logarithm."""
    logits = input.detach()
    logits = logits if logits.dtype == torch.float64 else logits.float()
    classes = torch.arange(input.shape[1], device=input.device)
    tiny = torch.finfo(torch.float32).tiny
    return logits.sigmoid(), target[:, None] == classes, tiny


def _weighted(values: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    if not weight.numel():
        return values
    if bool((target >= len(weight)).any()):
        raise ValueError(
            f'Expected targets below {len(weight)} where classes are weighted, '
            f'but got {int(target.max())}'
        )
    return values * weight[target][:, None]
