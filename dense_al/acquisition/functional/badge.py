"""BADGE: diverse and uncertain rows by k-means++ on gradient embeddings kept as two factors.

Ash et al., Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds, 2020.
"""

from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.k_center import checked_mask
from dense_al.acquisition.functional.kmeans_pp import sample_rows


def badge_select(
    probs: ArrayLike,
    features: ArrayLike,
    n: int,
    *,
    labelled: ArrayLike | None = None,
    n_trials: int = 1,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Pick rows by k-means++ on their gradient embeddings, without building these.

    The embedding of a row is the outer product of `a = probs - onehot(argmax probs)` (of equal
    probabilities the lowest class is the predicted one) and `z`, its features: the gradient of the
    last layer's weights for the predicted label. For two rows
    `|a1 z1 - a2 z2|^2 = |a1|^2 |z1|^2 + |a2|^2 |z2|^2 - 2 (a1 . a2) (z1 . z2)`.

    The first is the row with the longest embedding (the lowest of equals), then each is drawn
    with a probability proportional to the squared distance to the nearest pick. Once every row
    coincides with a pick the rest are drawn uniformly. Memory is O(N (C + D)).

    Args:
        probs: (N, C) float in [0, 1], rows summing to 1.
        features: (N, D) float, input of the last linear layer.
        n: Rows to pick, in [0, number of rows not labelled].
        labelled: (N,) bool, rows never picked; as published they are no centres. Default: none.
        n_trials: Rows drawn per step, of which the one that leaves the smallest sum of squared
            distances is kept; 1 as published.
        rng: Source of the draws.

    Returns:
        (n,) int64 rows in the order of picking.

    Raises:
        ValueError: Wrong shapes, `n` or `n_trials` out of range, or non-finite input.

    References:
        Ash et al., Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds, 2020.

    >>> p, z = [[0.5, 0.5], [1.0, 0.0], [0.9, 0.1]], [[2.0], [3.0], [2.0]]
    >>> badge_select(p, z, 1, rng=np.random.default_rng(0)).tolist()
    [0]
    """
    residual, features = _factors(probs, features)
    mask = np.zeros(len(features), bool) if labelled is None else labelled
    mask = checked_mask(mask, len(features), n)
    if n_trials < 1:
        raise ValueError(f'Expected `n_trials` to be at least 1, but got {n_trials}')
    if n == 0:
        return np.empty(0, np.int64)
    norms = _norms(residual) * _norms(features)
    first = int(np.where(mask, -1.0, norms).argmax())
    measure = partial(_squared, residual, features, norms)
    nearest = measure(np.array([first]))[0]
    return sample_rows(measure, nearest, mask, [first], n, n_trials, rng)


def _factors(probs: ArrayLike, features: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """`probs - onehot` and the features, checked, float64."""
    residual, features = np.array(probs, np.float64), np.asarray(features, np.float64)
    if residual.ndim != 2 or features.ndim != 2 or len(residual) != len(features):
        raise ValueError(
            'Expected `probs` (N, C) and `features` (N, D), '
            f'but got {residual.shape} and {features.shape}'
        )
    if residual.shape[1] < 2:
        raise ValueError(f'Expected at least 2 classes, but got {residual.shape[1]}')
    for name, values in (('probs', residual), ('features', features)):
        if not np.isfinite(values).all():
            raise ValueError(f'Expected finite `{name}`, but got NaN or infinity')
    residual[np.arange(len(residual)), residual.argmax(axis=1)] -= 1
    return residual, features


def _norms(values: np.ndarray) -> np.ndarray:
    return np.einsum('ij,ij->i', values, values)


def _squared(
    residual: np.ndarray, features: np.ndarray, norms: np.ndarray, centres: np.ndarray
) -> np.ndarray:
    """(T, N) squared distances of all rows to the rows `centres`, exactly 0 to themselves."""
    out = (residual @ residual[centres].T).T
    out *= (features @ features[centres].T).T
    out *= -2
    out += norms
    out += norms[centres][:, None]
    out[np.arange(len(centres)), centres] = 0
    return np.maximum(out, 0, out=out)
