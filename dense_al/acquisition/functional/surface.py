"""Shape around points, and how mixed the labels of regions are."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

_ROWS = 1 << 13  # so that the temporaries stay small


def surface_variation(points: ArrayLike, neighbours: int = 50) -> NDArray[np.float64]:
    """Smallest eigenvalue of the covariance of each point's surroundings over the sum of all.

    Args:
        points: (N, 3) float, metres, N at least 1.
        neighbours: Nearest points that count, the point itself among them, >= 3; all of them where
            there are fewer.

    Returns:
        (N,) float64 in [0, 1/3]: 0 on a plane, 1/3 where all directions are alike; 0 where the
        surroundings are one place.

    Raises:
        ValueError: Another shape, points that are not finite, or too few neighbours.

    References:
        Pauly et al., Efficient Simplification of Point-Sampled Surfaces, 2002; as a score Wu et
        al., ReDAL, 2021.

    >>> plane = np.stack(np.meshgrid(range(4), range(4), [0]), axis=-1).reshape(-1, 3)
    >>> surface_variation(plane, 9).max().round(6)
    np.float64(0.0)
    """
    xyz = np.asarray(points, np.float64)
    if xyz.ndim != 2 or xyz.shape[1] != 3 or not len(xyz):
        raise ValueError(f'Expected `points` of shape (N, 3), but got {xyz.shape}')
    if not np.isfinite(xyz).all():
        raise ValueError('Expected finite `points`, but got NaN or infinity')
    if neighbours < 3:
        raise ValueError(f'Expected `neighbours` >= 3, but got {neighbours}')
    xyz = xyz - xyz.mean(axis=0)
    tree = cKDTree(xyz)
    found = np.empty(len(xyz))
    for start in range(0, len(xyz), _ROWS):
        own = slice(start, start + _ROWS)
        near = xyz[tree.query(xyz[own], np.arange(1, min(neighbours, len(xyz)) + 1))[1]]
        near -= near.mean(axis=1, keepdims=True)
        values = np.linalg.eigvalsh(near.transpose(0, 2, 1) @ near)
        total = values.sum(axis=1)
        found[own] = np.maximum(values[:, 0], 0) / np.where(total > 0, total, 1)
    return found


def label_entropy(labels: ArrayLike, regions: ArrayLike, n_classes: int) -> NDArray[np.float64]:
    """Entropy of the labels of each region.

    Args:
        labels: (N,) int in [0, n_classes).
        regions: (N,) int, 0 to R-1, each of them present.
        n_classes: Number of classes.

    Returns:
        (R,) float64 in bits, in [0, log2(n_classes)].

    >>> label_entropy([0, 1, 2, 2], [0, 0, 1, 1], 3).tolist()
    [1.0, 0.0]
    """
    ids, found = np.asarray(regions, np.int64), np.asarray(labels, np.int64)
    if ids.shape != found.shape or ids.ndim != 1:
        raise ValueError(
            f'Expected `labels` and `regions` (N,), but got {found.shape} and {ids.shape}'
        )
    if len(found) and not 0 <= found.min() <= found.max() < n_classes:
        raise ValueError(f'Expected labels in [0, {n_classes}), but got {found.max()}')
    n = int(ids.max()) + 1 if len(ids) else 0
    counts = np.bincount(ids * n_classes + found, minlength=n * n_classes).reshape(n, n_classes)
    share = counts / counts.sum(axis=1, keepdims=True)
    return -(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1) + 0.0
