"""k-means with weighted rows, for methods that need its clusters or its centres."""

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Distances per pass from which on the centres are updated from batches instead of all rows.
_MANY = 1 << 27
_BATCH = 4096


def weighted_kmeans(
    features: ArrayLike,
    weight: ArrayLike | None,
    n_clusters: int,
    *,
    minibatch: bool | None = None,
    rng: np.random.Generator,
) -> tuple[NDArray, NDArray[np.int64]]:
    """Clusters of rows, each row pulling at its centre with its weight.

    scikit-learn's k-means from one start by k-means++. The result is the same for the same seed,
    version of scikit-learn and number of threads.

    Args:
        features: (N, D) float.
        weight: (N,) float >= 0; None, or 0 everywhere: all the same.
        n_clusters: In [1, N]. With fewer different rows than that some clusters are empty.
        minibatch: Update the centres from batches of 4096 rows; by default from 2**27 distances
            (rows times clusters) on.
        rng: Source of the start.

    Returns:
        (n_clusters, D) centres, float32 for float32 features, else float64; (N,) int64 cluster of
        each row.

    Raises:
        ValueError: Wrong shapes, non-finite features, a weight that is negative or not finite, or
            `n_clusters` out of range.

    References:
        Lloyd, Least Squares Quantization in PCM, 1982; Sculley, Web-scale K-means Clustering, 2010.

    >>> x = [[0.0], [2.0], [9.0], [9.0]]
    >>> centres, cluster = weighted_kmeans(x, [3, 1, 1, 1], 2, rng=np.random.default_rng(0))
    >>> centres[cluster].ravel().tolist()
    [0.5, 0.5, 9.0, 9.0]
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    x, w = checked_weighted_rows(features, weight)
    if not 1 <= n_clusters <= len(x):
        raise ValueError(f'Expected `n_clusters` in [1, {len(x)}], but got {n_clusters}')
    seed = int(rng.integers(1 << 31))
    if minibatch is None:
        minibatch = len(x) * n_clusters >= _MANY
    if minibatch:
        batch = max(_BATCH, n_clusters)
        method = MiniBatchKMeans(n_clusters, n_init=1, random_state=seed, batch_size=batch)
    else:
        method = KMeans(n_clusters, n_init=1, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', ConvergenceWarning)
        method.fit(x, sample_weight=w)
    return method.cluster_centers_, method.labels_.astype(np.int64)


def checked_weighted_rows(
    features: ArrayLike, weight: ArrayLike | None
) -> tuple[NDArray, NDArray[np.float64]]:
    """Check features (N, D) and weights (N,): float32 or float64 features, float64 weights.

    Weights are scaled to at most 1; where they are None or all 0 they are 1.

    >>> checked_weighted_rows([[1], [2]], [2, 4])[1].tolist()
    [0.5, 1.0]
    """
    x = np.asarray(features)
    w = np.ones(len(x)) if weight is None else np.asarray(weight, np.float64)
    if x.ndim != 2 or w.shape != x.shape[:1]:
        raise ValueError(
            f'Expected `features` (N, D) and `weight` (N,), but got {x.shape} and {w.shape}'
        )
    if not np.isfinite(x.sum(dtype=np.float64)):
        raise ValueError('Expected finite `features`, but got NaN or infinity')
    # NaN fails the comparison too.
    if len(w) and not (w.min() >= 0 and w.max() < np.inf):
        raise ValueError('Expected `weight` to be finite and at least 0')
    x = x if x.dtype == np.float32 else x.astype(np.float64)
    return x, w / w.max() if w.any() else np.ones(len(w))
