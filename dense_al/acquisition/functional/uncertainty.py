"""How unsure a class distribution is: entropy, margin, least confidence. Higher = less sure.

Each function takes a NumPy array or a torch tensor; a tensor stays on its device.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

# Entries handled at a time, so that the temporaries stay in the cache.
_BLOCK = 1 << 16
_ABOVE_ONE = 1e-3


def entropy(probs: Any, axis: int = -1) -> Any:
    """Entropy of class distributions, in nats.

    Args:
        probs: (..., C, ...) float array or tensor, in [0, 1], summing to 1 along `axis`.
        axis: The axis of the classes.

    Returns:
        The shape of `probs` without `axis`, in [0, ln C]; array for array, tensor for tensor.
        float32 for float16 and float32 input, else float64. A probability of 0 adds exactly 0.

    Raises:
        ValueError: `axis` out of range, no class, or entries that are not probabilities.

    References:
        Shannon, A Mathematical Theory of Communication, 1948.

    >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).round(4).tolist()
    [0.6931, 0.0]
    """
    if isinstance(probs, torch.Tensor):
        probs, axis = _checked_tensor(probs, axis, 1)
        return torch.special.entr(probs).sum(axis)
    return _blockwise(probs, axis, 1, _entropy_of_block)


def margin(probs: Any, axis: int = -1) -> Any:
    """One minus the gap between the two largest probabilities, `1 - (p1 - p2)`.

    Args:
        probs: (..., C, ...) float array or tensor, in [0, 1], C >= 2.
        axis: The axis of the classes.

    Returns:
        The shape of `probs` without `axis`, in [0, 1]; array for array, tensor for tensor.
        float32 for float16 and float32 input, else float64.

    Raises:
        ValueError: `axis` out of range, fewer than two classes, or entries that are not
            probabilities.

    References:
        Scheffer et al., Active Hidden Markov Models for Information Extraction, 2001.

    >>> margin(np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]])).round(4).tolist()
    [0.8, 0.0]
    """
    if isinstance(probs, torch.Tensor):
        probs, axis = _checked_tensor(probs, axis, 2)
        first, second = probs.topk(2, dim=axis).values.unbind(axis)
        return 1 - (first - second)
    return _blockwise(probs, axis, 2, _margin_of_block)


def least_confidence(probs: Any, axis: int = -1) -> Any:
    """One minus the largest probability.

    Args:
        probs: (..., C, ...) float array or tensor, in [0, 1].
        axis: The axis of the classes.

    Returns:
        The shape of `probs` without `axis`, in [0, 1 - 1/C]; array for array, tensor for tensor.
        float32 for float16 and float32 input, else float64.

    Raises:
        ValueError: `axis` out of range, no class, or entries that are not probabilities.

    References:
        Lewis and Gale, A Sequential Algorithm for Training Text Classifiers, 1994.

    >>> least_confidence(np.array([[0.75, 0.25], [1.0, 0.0]])).tolist()
    [0.25, 0.0]
    """
    if isinstance(probs, torch.Tensor):
        probs, axis = _checked_tensor(probs, axis, 1)
        return 1 - probs.amax(axis)
    return _blockwise(probs, axis, 1, lambda block: 1 - block.max(axis=0))


def _entropy_of_block(block: np.ndarray) -> np.ndarray:
    # p * log(tiny) is exactly 0 at p = 0.
    log = np.maximum(block, np.finfo(block.dtype).tiny)
    np.log(log, out=log)
    log *= block
    # max also turns -0 and the rounding of a sure pixel into 0.
    return np.maximum(-log.sum(axis=0), 0)


def _margin_of_block(block: np.ndarray) -> np.ndarray:
    classes, pixels = block.shape
    if pixels < classes:
        top = np.partition(block, classes - 2, axis=0)[-2:]
        return 1 - (top[1] - top[0])
    first, second = np.maximum(block[0], block[1]), np.minimum(block[0], block[1])
    lower = np.empty_like(first)
    for row in block[2:]:
        np.minimum(first, row, out=lower)
        np.maximum(second, lower, out=second)
        np.maximum(first, row, out=first)
    return 1 - (first - second)


def _blockwise(
    probs: Any, axis: int, least: int, kernel: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Apply a kernel, (C, pixels) -> (pixels,), to checked blocks of `probs`."""
    probs = np.asarray(probs)
    axis = _checked_axis(probs.shape, axis, least)
    dtype = np.float32 if probs.dtype in (np.float16, np.float32) else np.float64
    before, classes, after = probs.shape[:axis], probs.shape[axis], probs.shape[axis + 1 :]
    inner = math.prod(after)
    folded = probs.reshape(math.prod(before), classes, inner)
    out = np.empty((len(folded), inner), dtype)
    step = max(1, _BLOCK // classes)
    if inner == 1:
        for start in range(0, len(folded), step):
            block = folded[start : start + step, :, 0].T
            out[start : start + step, 0] = kernel(_checked_block(block, dtype))
    else:
        for row, image in zip(out, folded):
            for start in range(0, inner, step):
                block = image[:, start : start + step]
                row[start : start + step] = kernel(_checked_block(block, dtype))
    out = out.reshape(before + after)
    return out if out.ndim else out[()]


def _checked_block(block: np.ndarray, dtype: type) -> np.ndarray:
    block = np.ascontiguousarray(block, dtype)
    check_probabilities(block)
    return block


def _checked_tensor(probs: torch.Tensor, axis: int, least: int) -> tuple[torch.Tensor, int]:
    axis = _checked_axis(tuple(probs.shape), axis, least)
    half = probs.dtype in (torch.float16, torch.bfloat16, torch.float32)
    probs = probs.to(torch.float32 if half else torch.float64)
    if probs.numel():
        check_probabilities(torch.stack(torch.aminmax(probs.detach())).cpu().numpy())
    return probs, axis


def _checked_axis(shape: tuple[int, ...], axis: int, least: int) -> int:
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f'Expected `axis` to be an axis of shape {shape}, but got {axis}')
    if shape[axis] < least:
        raise ValueError(
            f'Expected the classes along axis {axis} to be at least {least}, but got {shape[axis]}'
        )
    return axis % len(shape)


def check_probabilities(probs: np.ndarray) -> None:
    """Raise ValueError where an entry is negative, above 1 or NaN.

    >>> check_probabilities(np.array([0.0, 1.0]))
    """
    low, high = float(probs.min(initial=0)), float(probs.max(initial=1))
    # NaN fails the comparison too.
    if not (low >= 0 and high <= 1 + _ABOVE_ONE):
        raise ValueError(
            f'Expected `probs` to be in [0, 1], but got values from {low:g} to {high:g}'
        )
