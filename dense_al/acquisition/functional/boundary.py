"""Distances to the decision boundaries of a linear head, and a quota per class.

Emam et al., Active Learning at the ImageNet Scale, 2021 (MASE and BASE).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

_CHUNK = 4096


def boundary_distance(
    features: ArrayLike, weight: ArrayLike, bias: ArrayLike
) -> NDArray[np.float64]:
    """Distance of each feature vector to the boundary between its predicted class and every other.

    With `p` the class of the largest logit: `|(w_p - w_c) . x + b_p - b_c| / ||w_p - w_c||`.

    Args:
        features: (N, D) float, input of the linear head.
        weight: (C, D) float, C >= 2.
        bias: (C,) float.

    Returns:
        (N, C) float64, >= 0, in units of the features; inf in the predicted class's column and
        where two classes share their weights (no boundary lies between them). Equal logits: the
        lower class is the predicted one.

    Raises:
        ValueError: Wrong shapes, fewer than two classes, or non-finite input.

    References:
        Emam et al., Active Learning at the ImageNet Scale, 2021.

    >>> boundary_distance([[2.0, 0.5]], [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]).round(4).tolist()
    [[inf, 1.0607]]
    """
    features, weight, bias = _checked(features, weight, bias)
    # Differences of weights, not the Gram matrix: near-equal classes would cancel.
    normal = cdist(weight, weight)
    np.fill_diagonal(normal, 0)
    scale = np.divide(1, normal, out=np.full_like(normal, np.inf), where=normal > 0)
    out = np.empty((len(features), len(weight)))
    for start in range(0, len(features), _CHUNK):
        logits = features[start : start + _CHUNK].astype(np.float64) @ weight.T
        logits += bias
        rows, predicted = np.arange(len(logits)), logits.argmax(axis=1)
        # The norm is zero exactly where no boundary exists; 0 * inf there becomes inf as well.
        gap = logits[rows, predicted][:, None] - logits
        gap[normal[predicted] == 0] = 1
        np.multiply(gap, scale[predicted], out=out[start : start + _CHUNK])
    return out


def boundary_quota(
    distance: ArrayLike, budget: int, *, predictions: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Pick the rows nearest to the boundaries, the same number for every class.

    Class `c` takes `budget // C` rows, one more where `c < budget % C`: the smallest of
    `min over classes` where `c` is predicted and of `distance[:, c]` elsewhere. Classes pick in
    order and no row is picked twice.

    Args:
        distance: (N, C) float >= 0 as from `boundary_distance`.
        budget: Rows to pick, in [0, N].
        predictions: (N,) int predicted classes; by default the column that is inf. Needed where
            two classes share their weights, since then further columns are inf.

    Returns:
        (budget,) int64 rows in the order of picking. Equal distances: lower row first.

    Raises:
        ValueError: Wrong shape, NaN, a budget out of range, or predictions that cannot be read
            off `distance`.

    References:
        Emam et al., Active Learning at the ImageNet Scale, 2021.

    >>> inf = float('inf')
    >>> boundary_quota([[inf, 0.4], [inf, 0.1], [0.2, inf], [0.9, inf]], 3).tolist()
    [1, 2, 0]
    """
    distance = np.asarray(distance)
    if distance.ndim != 2 or distance.shape[1] < 2:
        raise ValueError(f'Expected `distance` of shape (N, C >= 2), but got {distance.shape}')
    n, n_classes = distance.shape
    if not 0 <= budget <= n:
        raise ValueError(f'Expected `budget` in [0, {n}], but got {budget}')
    predicted = _predictions(distance, predictions)
    nearest = distance.min(axis=1)
    if np.isnan(nearest).any():
        raise ValueError('Expected `distance` without NaN')
    columns = np.ascontiguousarray(distance.T)
    free = np.ones(n, dtype=bool)
    picks = []
    for c in range(n_classes):
        quota = budget // n_classes + (c < budget % n_classes)
        if quota == 0:
            break
        rows = np.flatnonzero(free)
        score = np.where(predicted[rows] == c, nearest[rows], columns[c, rows])
        picks.append(rows[_smallest(score, quota)])
        free[picks[-1]] = False
    return np.concatenate([np.zeros(0, np.int64), *picks])


def _smallest(score: NDArray, k: int) -> NDArray[np.int64]:
    """Positions of the `k` smallest, ascending, equal ones by position."""
    among = np.flatnonzero(score <= np.partition(score, k - 1)[k - 1])
    return among[np.argsort(score[among], kind='stable')[:k]]


def _predictions(distance: NDArray, predictions: ArrayLike | None) -> NDArray[np.int64]:
    n, n_classes = distance.shape
    if predictions is None:
        infinite = np.isposinf(distance)
        counts = infinite.sum(axis=1)
        if (counts != 1).any():
            raise ValueError(
                'Expected exactly one infinite entry in each row of `distance` without'
                f' `predictions`, but got {counts[counts != 1][0]}'
            )
        return infinite.argmax(axis=1)
    predicted = np.asarray(predictions)
    if predicted.shape != (n,):
        raise ValueError(f'Expected `predictions` of shape ({n},), but got {predicted.shape}')
    if n and not (predicted.min() >= 0 and predicted.max() < n_classes):
        raise ValueError(f'Expected `predictions` in [0, {n_classes})')
    return predicted.astype(np.int64)


def _checked(
    features: ArrayLike, weight: ArrayLike, bias: ArrayLike
) -> tuple[NDArray, NDArray, NDArray]:
    x = np.asarray(features)
    w, b = np.asarray(weight, dtype=np.float64), np.asarray(bias, dtype=np.float64)
    if w.ndim != 2 or len(w) < 2:
        raise ValueError(f'Expected `weight` of shape (C >= 2, D), but got {w.shape}')
    if x.ndim != 2 or x.shape[1] != w.shape[1]:
        raise ValueError(f'Expected `features` of shape (N, {w.shape[1]}), but got {x.shape}')
    if b.shape != (len(w),):
        raise ValueError(f'Expected `bias` of shape ({len(w)},), but got {b.shape}')
    # A sum is finite only if every term is (an overflow is refused as well).
    for name, value in (('features', x), ('weight', w), ('bias', b)):
        if not np.isfinite(value.sum(dtype=np.float64)):
            raise ValueError(f'Expected finite `{name}`, but got NaN or infinity')
    return x, w, b
