"""Window scores of RIPU and the choice of windows by them.

A window is the square of side `2 * radius + 1` around a pixel, cut at the border. Xie et al.,
Towards Fewer Annotations: Active Learning via Region Impurity and Prediction Uncertainty for Domain
Adaptive Semantic Segmentation, 2022.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.uncertainty import check_probabilities, entropy

# Entries handled at a time, so that the temporaries stay in the cache.
_ENTRIES = 1 << 18


def region_impurity(probs: Any, radius: int, *, log_classes: int | None = None) -> Any:
    """Entropy of the predicted classes in the window around each pixel (RIPU's P).

    The cost does not depend on the radius.

    Args:
        probs: (C, H, W) float array or tensor, probabilities; of equal ones the lowest class is
            the predicted one.
        radius: Pixels from the centre to the edge of a window, >= 0.
        log_classes: Divide by the logarithm of this; by default C. The released code has 19
            whatever C.

    Returns:
        (H, W) in [0, 1] (for the default), float32 for float16 and float32 input, else float64;
        array for array, tensor (same device) for tensor.

    Raises:
        ValueError: Wrong shape, fewer than two classes, a negative radius, or entries that are
            not probabilities.

    References:
        Xie et al., Towards Fewer Annotations: Active Learning via Region Impurity and Prediction
        Uncertainty for Domain Adaptive Semantic Segmentation, 2022.

    >>> p = np.array([[[1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]])
    >>> region_impurity(p, 1).round(4).tolist()
    [[0.0, 0.9183, 1.0]]
    """
    radius, scale = _window(probs, radius, log_classes)
    if isinstance(probs, torch.Tensor):
        check_probabilities(torch.stack(torch.aminmax(probs.detach())).cpu().numpy())
        return (_impurity_tensor(probs, radius) / scale).to(
            torch.float64 if probs.dtype == torch.float64 else torch.float32
        )
    probs = np.asarray(probs)
    labels = _predicted(probs)
    out = _impurity(labels, len(probs), radius)
    out /= scale
    return out.astype(np.float32) if probs.dtype in (np.float16, np.float32) else out


def region_uncertainty(probs: Any, radius: int, *, log_classes: int | None = None) -> Any:
    """Mean entropy of the pixels in the window around each pixel (RIPU's U).

    Args:
        probs: (C, H, W) float array or tensor, probabilities.
        radius: Pixels from the centre to the edge of a window, >= 0.
        log_classes: Divide by the logarithm of this; by default C. The released code has 19
            whatever C.

    Returns:
        (H, W) in [0, 1] (for the default), type and device as `region_impurity`.

    Raises:
        ValueError: As `region_impurity`.

    References:
        Xie et al., Towards Fewer Annotations, 2022 (RIPU).

    >>> p = np.array([[[0.5, 1.0, 1.0]], [[0.5, 0.0, 0.0]]])
    >>> region_uncertainty(p, 1).round(4).tolist()
    [[0.5, 0.3333, 0.0]]
    """
    radius, scale = _window(probs, radius, log_classes)
    pixels = entropy(probs, axis=0)
    if isinstance(probs, torch.Tensor):
        sums = _window_sum_tensor(pixels.double(), radius)
        size = _window_sum_tensor(torch.ones_like(pixels, dtype=torch.float64), radius)
        return (sums / (size * scale)).clamp_min(0).to(pixels.dtype)
    total = _window_sum(_window_sum(pixels.astype(np.float64), radius, 0), radius, 1)
    total /= _window_area(pixels.shape[0], pixels.shape[1], radius)
    total /= scale
    return np.maximum(total, 0, out=total).astype(pixels.dtype, copy=False)


def ripu_score(
    probs: Any,
    radius: int,
    *,
    uncertainty_radius: int | None = None,
    log_classes: int | None = None,
) -> Any:
    """Region impurity times prediction uncertainty, the RIPU score of each pixel's window.

    Args:
        probs: (C, H, W) float array or tensor, probabilities.
        radius: Pixels from the centre to the edge of a window, >= 0.
        uncertainty_radius: That of the window of the uncertainty, where it differs; the published
            scores of single pixels have 32 and 0.
        log_classes: Divide both factors by the logarithm of this; by default C. The released code
            has 19 whatever C, which scales the score but leaves the ranking.

    Returns:
        (H, W) in [0, 1] (for the default), type and device as `region_impurity`.

    Raises:
        ValueError: As `region_impurity`.

    References:
        Xie et al., Towards Fewer Annotations, 2022 (RIPU).

    >>> p = np.array([[[0.5, 0.0]], [[0.5, 1.0]]])
    >>> ripu_score(p, 1).round(4).tolist()
    [[0.5, 0.5]]
    """
    impurity = region_impurity(probs, radius, log_classes=log_classes)
    near = radius if uncertainty_radius is None else uncertainty_radius
    return impurity * region_uncertainty(probs, near, log_classes=log_classes)


def ripu_select(
    score: ArrayLike,
    n: int,
    radius: int,
    *,
    active: ArrayLike | None = None,
    block: int | None = None,
) -> NDArray[np.int64]:
    """Pick windows of an image one by one by score, their centres more than `2 * radius` apart.

    Each pick blocks the square of radius `2 * radius` around it, so no two windows overlap. The
    published number of picks is `ceil(H * W * ratio / (2 * radius + 1) ** 2)`; of single pixels it
    is 21 in each of five rounds at 1024 x 2048, and they block the square of radius 32.

    Args:
        score: (H, W) finite float, higher = picked first.
        n: Windows to pick, >= 0.
        radius: Pixels from the centre to the edge of a window, >= 0.
        active: (H, W) bool, pixels that may not be a centre; `window_mask(picks, 2 * radius, ...)`
            of all earlier picks. Default: none.
        block: Radius of the square that a pick blocks, >= 0, where it is not `2 * radius`.

    Returns:
        (K, 2) int64 y, x in the order of picking, K <= n: fewer once every pixel is blocked.
        Equal scores: upper row first, then left column.

    Raises:
        ValueError: Wrong shapes, non-finite scores, a negative `n`, `radius` or `block`.

    References:
        Xie et al., Towards Fewer Annotations, 2022 (RIPU).

    >>> ripu_select(np.array([[3.0, 2.0, 1.0, 0.0]]), 5, 1).tolist()
    [[0, 0], [0, 3]]
    """
    left = np.array(score, np.float64)
    if left.ndim != 2 or not np.isfinite(left).all():
        raise ValueError(f'Expected `score` to be (H, W) and finite, but got shape {left.shape}')
    block = 2 * radius if block is None else block
    if n < 0 or radius < 0:
        raise ValueError(f'Expected `n` and `radius` to be at least 0, but got {n} and {radius}')
    if block < 0:
        raise ValueError(f'Expected `block` to be at least 0, but got {block}')
    blocked = np.zeros(left.shape, bool) if active is None else np.asarray(active)
    if blocked.dtype != bool or blocked.shape != left.shape:
        raise ValueError(
            f'Expected `active` to be {left.shape} bool, but got {blocked.shape} {blocked.dtype}'
        )
    left[blocked] = -np.inf
    best = left.max(axis=1, initial=-np.inf)
    picks: list[tuple[int, int]] = []
    while len(picks) < n and best.max(initial=-np.inf) > -np.inf:
        y = int(best.argmax())
        x = int(left[y].argmax())
        picks.append((y, x))
        rows = slice(max(y - block, 0), y + block + 1)
        left[rows, max(x - block, 0) : x + block + 1] = -np.inf
        best[rows] = left[rows].max(axis=1)
    return np.array(picks, np.int64).reshape(-1, 2)


def window_mask(centres: ArrayLike, radius: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels within a window around any of the centres.

    Args:
        centres: (K, 2) int y, x.
        radius: Pixels from the centre to the edge of a window, >= 0.
        shape: Height and width of the image.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: A negative radius, or centres that are not (K, 2) or outside the image.

    References:
        Xie et al., Towards Fewer Annotations, 2022 (RIPU).

    >>> window_mask([[0, 2]], 1, (2, 4)).tolist()
    [[False, True, True, True], [False, True, True, True]]
    """
    points = np.asarray(centres, np.int64)
    inside = points.ndim == 2 and points.shape[1] == 2
    if radius < 0 or not inside or (points < 0).any() or (points >= shape).any():
        raise ValueError(
            f'Expected `radius` at least 0 and `centres` (K, 2) inside {shape}, '
            f'but got {radius} and {points.shape} {points[:3].tolist()}'
        )
    out = np.zeros(shape, bool)
    for y, x in points.tolist():
        out[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1] = True
    return out


def _impurity(labels: np.ndarray, classes: int, radius: int) -> np.ndarray:
    """Entropy in nats of the labels in each window, one row of windows at a time.

    Column counts follow the window down the image; sums along the row come from their cumulated
    sums, and `ln n - sum(c ln c) / n` from a table of `c ln c`.
    """
    height, width = labels.shape
    area = _window_area(height, width, radius)
    counts = np.arange(int(area.max(initial=0)) + 1, dtype=np.float64)
    table = counts * np.log(np.maximum(counts, 1))
    columns = np.zeros((classes, width), np.int32)
    summed = np.zeros((classes, width + 1), np.int32)
    inside, across = np.empty((classes, width), np.int32), np.arange(width)
    terms, out = np.empty((classes, width)), np.empty((height, width))
    for y in range(-radius, height):
        if y + radius < height:
            columns[labels[y + radius], across] += 1
        if y > radius:
            columns[labels[y - radius - 1], across] -= 1
        if y >= 0:
            np.cumsum(columns, axis=1, out=summed[:, 1:])
            _between(summed, radius, inside)
            np.take(table, inside, out=terms, mode='clip')
            terms.sum(axis=0, out=out[y])
    out /= area
    np.subtract(np.log(area), out, out=out)
    return np.maximum(out, 0, out=out)


def _predicted(probs: np.ndarray) -> np.ndarray:
    """(H, W) class of the largest probability, the lowest of equals; checks the range."""
    classes, height, width = probs.shape
    labels = np.zeros((height, width), np.uint8 if classes <= 256 else np.int32)
    step = max(1, _ENTRIES // max(1, classes * width))
    for start in range(0, height, step):
        part, out = probs[:, start : start + step], labels[start : start + step]
        check_probabilities(part)
        best = part[0].copy()
        for c in range(1, classes):
            higher = part[c] > best
            np.maximum(best, part[c], out=best)
            np.maximum(out, higher * out.dtype.type(c), out=out)
    return labels


def _window_area(height: int, width: int, radius: int) -> np.ndarray:
    y, x = (_window_sum(np.ones(size), radius, 0) for size in (height, width))
    return y[:, None] * x


def _window_sum(values: np.ndarray, radius: int, axis: int) -> np.ndarray:
    """Sum of the values at most `radius` away along an axis."""
    summed = np.cumsum(values, axis=axis)
    summed = np.concatenate([np.zeros_like(summed.take([0], axis)), summed], axis=axis)
    out = np.empty(values.shape)
    _between(summed.swapaxes(axis, -1), radius, out.swapaxes(axis, -1))
    return out


def _between(summed: np.ndarray, radius: int, out: np.ndarray) -> None:
    """Sums over windows along the last axis from cumulated sums that start with 0."""
    width = out.shape[-1]
    whole = max(width - radius, 0)
    out[..., :whole] = summed[..., radius + 1 :]
    out[..., whole:] = summed[..., width:]
    out[..., width - whole :] -= summed[..., :whole]


def _impurity_tensor(probs: torch.Tensor, radius: int) -> torch.Tensor:
    best, labels = probs[0], torch.zeros_like(probs[0], dtype=torch.int64)
    for c in range(1, len(probs)):
        labels[probs[c] > best] = c
        best = torch.maximum(best, probs[c])
    area = _window_sum_tensor(torch.ones_like(best, dtype=torch.float64), radius)
    terms = torch.zeros_like(area)
    for c in range(len(probs)):
        count = _window_sum_tensor((labels == c).double(), radius)
        terms += torch.special.xlogy(count, count)
    return (area.log() - terms / area).clamp_min(0)


def _window_sum_tensor(values: torch.Tensor, radius: int) -> torch.Tensor:
    for axis in (0, 1):
        place = torch.arange(values.shape[axis], device=values.device)
        summed = torch.cat([values.narrow(axis, 0, 1) * 0, values.cumsum(axis)], dim=axis)
        high = (place + radius + 1).clamp_max(len(place))
        low = (place - radius).clamp_min(0)
        values = summed.index_select(axis, high) - summed.index_select(axis, low)
    return values


def _window(probs: Any, radius: int, log_classes: int | None) -> tuple[int, float]:
    """Check the arguments of a window score; a radius that suffices, the logarithm to divide by."""
    shape = tuple(np.shape(probs))
    if len(shape) != 3 or shape[0] < 2 or 0 in shape:
        raise ValueError(f'Expected `probs` of shape (C, H, W) with C >= 2, but got {shape}')
    if radius < 0:
        raise ValueError(f'Expected `radius` to be at least 0, but got {radius}')
    if log_classes is not None and log_classes < 2:
        raise ValueError(f'Expected `log_classes` to be at least 2, but got {log_classes}')
    divisor = shape[0] if log_classes is None else log_classes
    return min(int(radius), max(shape[1:])), float(np.log(divisor))
