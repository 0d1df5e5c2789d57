"""CLUE: rows that are uncertain and spread, by k-means weighted with uncertainty.

Prabhu et al., Active Domain Adaptation via Clustering Uncertainty-weighted Embeddings, 2021.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.k_center import checked_mask
from dense_al.acquisition.functional.kmeans import checked_weighted_rows, weighted_kmeans

_DISTANCES = 1 << 24  # held at a time


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
    by `rng` first, so that equal distances and equal rows are decided by the seed. Reproducible as
    far as `weighted_kmeans` is.

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
    x, w = checked_weighted_rows(features, weight)
    mask = checked_mask(np.zeros(len(x), bool) if labelled is None else labelled, len(x), n)
    rows = rng.permutation(np.flatnonzero(~mask))
    if n in (0, len(rows)):
        return rows[np.argsort(-w[rows], kind='stable')][:n]
    x, w = x[rows], w[rows]
    # Without their mean distances keep more digits.
    x = x - x.mean(axis=0, dtype=np.float64).astype(x.dtype)
    centres, cluster = weighted_kmeans(x, w, n, minibatch=minibatch, rng=rng)
    mass = np.bincount(cluster, w, n)
    return rows[_distinct_nearest(x, centres[np.argsort(-mass, kind='stable')])]


def _distinct_nearest(x: NDArray, centres: NDArray) -> NDArray[np.int64]:
    """(K,) rows: in turn each centre takes the nearest row that is left, the lowest of equals."""
    free = np.ones(len(x), bool)
    picks = np.empty(len(centres), np.int64)
    norms = np.einsum('ij,ij->i', x, x, dtype=np.float64)
    block = max(1, _DISTANCES // len(x))
    for start in range(0, len(centres), block):
        part = centres[start : start + block]
        distance = norms - 2.0 * (part @ x.T)
        for k in range(len(part)):
            own = np.where(free, distance[k], np.inf)
            picks[start + k] = own.argmin()
            free[picks[start + k]] = False
    return picks
