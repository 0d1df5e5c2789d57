"""CLUE: rows that are uncertain and spread, by k-means weighted with uncertainty.

Prabhu et al., Active Domain Adaptation via Clustering Uncertainty-weighted Embeddings, 2021.
"""

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.k_center import checked_mask

# Distances per pass of k-means from which on it sees small batches instead of all rows.
_MANY = 1 << 27
_BATCH = 4096


def clue_select(
    features: ArrayLike,
    weight: ArrayLike,
    n: int,
    *,
    labelled: ArrayLike | None = None,
    minibatch: bool | None = None,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Pick the rows nearest to the centres of a weighted k-means with as many clusters as picks.

    Heavy clusters choose first: each takes the nearest row that no other took. Rows are shuffled
    by `rng` first, so that equal distances and equal rows are decided by the seed. The result is
    the same for the same seed, version of scikit-learn and number of threads.

    Args:
        features: (N, D) float.
        weight: (N,) float >= 0, the rows' uncertainty; where it is 0 for all rows that may be
            picked they weigh the same.
        n: Rows to pick, in [0, number of rows not labelled].
        labelled: (N,) bool, rows that are neither clustered nor picked. Default: none.
        minibatch: Update the centres from batches of 4096 rows; by default from 2**27 distances
            (rows times picks) on.
        rng: Source of the shuffling and of k-means' start.

    Returns:
        (n,) int64 rows, that of the heaviest cluster first.

    Raises:
        ValueError: Wrong shapes, non-finite features, a weight that is negative or not finite, or
            `n` out of range.

    References:
        Prabhu et al., Active Domain Adaptation via Clustering Uncertainty-weighted Embeddings,
        2021.

    >>> x, rng = [[0.0], [1.0], [2.0], [9.0], [10.0]], np.random.default_rng(0)
    >>> sorted(clue_select(x, [1, 1, 1, 0.1, 1], 2, rng=rng).tolist())
    [1, 4]
    """
    x, w = np.asarray(features), np.asarray(weight, np.float64)
    x = x if x.dtype == np.float32 else x.astype(np.float64)
    if x.ndim != 2 or w.shape != x.shape[:1]:
        raise ValueError(
            f'Expected `features` (N, D) and `weight` (N,), but got {x.shape} and {w.shape}'
        )
    mask = checked_mask(np.zeros(len(x), bool) if labelled is None else labelled, len(x), n)
    if not np.isfinite(x.sum(dtype=np.float64)):
        raise ValueError('Expected finite `features`, but got NaN or infinity')
    # NaN fails the comparison too.
    if len(w) and not (w.min() >= 0 and w.max() < np.inf):
        raise ValueError('Expected `weight` to be finite and at least 0')
    rows = rng.permutation(np.flatnonzero(~mask))
    if n in (0, len(rows)):
        return rows[np.argsort(-w[rows], kind='stable')][:n]
    # Without their mean distances keep more digits.
    x, w = x[rows] - x[rows].mean(axis=0, dtype=np.float64).astype(x.dtype), w[rows]
    w = w / w.max() if w.any() else np.ones(len(w))
    if minibatch is None:
        minibatch = len(rows) * n >= _MANY
    centres, mass = _weighted_centres(x, w, n, minibatch, int(rng.integers(1 << 31)))
    return rows[_distinct_nearest(x, centres[np.argsort(-mass, kind='stable')])]


def _weighted_centres(
    x: NDArray, weight: NDArray, n: int, minibatch: bool, seed: int
) -> tuple[NDArray, NDArray]:
    """(n, D) centres and the weight of the rows of each."""
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    if minibatch:
        method = MiniBatchKMeans(n, n_init=1, random_state=seed, batch_size=max(_BATCH, n))
    else:
        method = KMeans(n, n_init=1, random_state=seed)
    with warnings.catch_warnings():
        # Fewer different rows than clusters: some centres coincide, their rows are distinct.
        warnings.simplefilter('ignore', ConvergenceWarning)
        method.fit(x, sample_weight=weight)
    return method.cluster_centers_, np.bincount(method.labels_, weight, n)


def _distinct_nearest(x: NDArray, centres: NDArray) -> NDArray[np.int64]:
    """(K,) rows: in turn each centre takes the nearest row that is left, the lowest of equals."""
    free = np.ones(len(x), bool)
    picks = np.empty(len(centres), np.int64)
    norms = np.einsum('ij,ij->i', x, x, dtype=np.float64)
    block = max(1, _MANY // 8 // len(x))
    for start in range(0, len(centres), block):
        part = centres[start : start + block]
        distance = norms - 2.0 * (part @ x.T)
        for k in range(len(part)):
            own = np.where(free, distance[k], np.inf)
            picks[start + k] = own.argmin()
            free[picks[start + k]] = False
    return picks
