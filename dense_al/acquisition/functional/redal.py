"""ReDAL: region scores from uncertainty, colour and shape, and an order that avoids repetition.

Wu et al., ReDAL: Region-based and Diversity-aware Active Learning for Point Cloud Semantic
Segmentation, 2021.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.region import region_mean
from dense_al.acquisition.functional.uncertainty import check_probabilities

_ROWS = 1 << 15  # so that the temporaries stay small
_TINY = 1e-12


def redal_region_score(
    probs: ArrayLike,
    regions: ArrayLike,
    n_regions: int,
    *,
    colour: ArrayLike | None = None,
    surface: ArrayLike | None = None,
    weights: tuple[float, float, float] = (1.0, 0.0, 0.05),
) -> NDArray[np.float64]:
    """Mean over each region of entropy, colour difference and surface variation, weighted.

    The entropy of a point is as released: the mean over the classes, in bits, so that it lies in
    [0, log2(C) / C].

    Args:
        probs: (P, C) float in [0, 1], rows summing to 1.
        regions: (P,) int in [-1, n_regions), -1 for none.
        n_regions: Number of regions R.
        colour: (P,) float, colour difference to the neighbourhood; by default none.
        surface: (P,) float, smallest eigenvalue of the neighbourhood's covariance over their sum;
            by default none.
        weights: Of entropy, colour and surface; the default is LiDAL's setting of the method.

    Returns:
        (R,) float64; 0 for an empty region (`region_count` tells).

    Raises:
        ValueError: Wrong shapes, entries that are not probabilities, ids out of range, a
            non-finite value in a region, or weights that are not three finite numbers.

    References:
        Wu et al., ReDAL, 2021; Hu et al., LiDAL, 2022.

    >>> p = [[0.5, 0.5], [1.0, 0.0], [1.0, 0.0]]
    >>> redal_region_score(p, [0, 0, 1], 2, surface=[0.0, 0.0, 0.1]).round(4).tolist()
    [0.25, 0.005]
    """
    probs = np.asarray(probs)
    if probs.ndim != 2 or probs.shape[1] == 0:
        raise ValueError(f'Expected `probs` of shape (P, C), but got {probs.shape}')
    if np.shape(regions) != probs.shape[:1]:
        raise ValueError(
            f'Expected `regions` of shape ({len(probs)},), but got {np.shape(regions)}'
        )
    factors = np.asarray(weights, np.float64)
    if factors.shape != (3,) or not np.isfinite(factors).all():
        raise ValueError(f'Expected three finite `weights`, but got {weights}')
    score = np.empty(len(probs))
    for i in range(0, len(probs), _ROWS):
        part = probs[i : i + _ROWS].astype(np.float64)
        check_probabilities(part)
        score[i : i + _ROWS] = factors[0] * -(part * np.log2(part + _TINY)).mean(axis=1)
    for name, values, factor in (('colour', colour, factors[1]), ('surface', surface, factors[2])):
        if values is None:
            continue
        if np.shape(values) != score.shape:
            raise ValueError(
                f'Expected `{name}` of shape ({len(probs)},), but got {np.shape(values)}'
            )
        score += factor * np.asarray(values, np.float64)
    return region_mean(score, regions, n_regions)


def diversity_aware_order(
    score: ArrayLike,
    cluster: ArrayLike,
    *,
    decay: float = 0.95,
    trim: float = 1.0,
    paper_compat: bool = False,
) -> NDArray[np.int64]:
    """Rank rows by score, each time a cluster comes up again for less.

    The row that is `k`-th best of its cluster, counted from 0, is worth `score * decay ** k`. The
    products are compared by their logarithms: in a cluster of some thousand rows the powers
    themselves would all be 0. Takes O(N log N).

    Args:
        score: (N,) float >= 0, higher = asked first.
        cluster: (N,) int, of each row.
        decay: Factor per repetition, in (0, 1].
        trim: Share of the rows, best scores first, that is ranked at all, in (0, 1]; rounded down.
        paper_compat: As in the authors' own release: the `i`-th row as given, not the `i`-th best
            one, gets the factor meant for the `i`-th best. Needs `trim` 1.

    Returns:
        (K,) int64 rows, best first, K being the share of N. Equal values: higher score first, then
        lower row.

    Raises:
        ValueError: Wrong shapes, a score that is negative or not finite, or a parameter out of
            range.

    References:
        Wu et al., ReDAL, 2021.

    >>> score, cluster = [0.90, 0.85, 0.80, 0.50, 0.95], [0, 0, 1, 1, 0]
    >>> diversity_aware_order(score, cluster, decay=0.9).tolist()
    [4, 0, 2, 1, 3]
    >>> diversity_aware_order(score, cluster, decay=0.9, paper_compat=True).tolist()
    [0, 4, 1, 2, 3]
    """
    score, codes = _checked_order(score, cluster)
    for name, value in (('decay', decay), ('trim', trim)):
        if not 0 < value <= 1:
            raise ValueError(f'Expected `{name}` in (0, 1], but got {value}')
    if paper_compat and trim != 1:
        raise ValueError(f'Expected `trim` 1 with `paper_compat`, but got {trim}')
    # A billionth of slack: 0.29 of 100 rows are 29.
    best_first = np.argsort(-score, kind='stable')[: int(trim * len(score) * (1 + 1e-9))]
    repetition = _place_in_cluster(codes[best_first])
    rows = np.arange(len(score)) if paper_compat else best_first
    with np.errstate(divide='ignore'):
        worth = np.log(score[rows]) + repetition * np.log(decay)
    return rows[np.argsort(-worth, kind='stable')]


def _place_in_cluster(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many rows of the same cluster stand before each row."""
    order = np.argsort(codes, kind='stable')
    count = np.bincount(codes)
    place = np.empty(len(codes), np.int64)
    place[order] = np.arange(len(codes)) - np.repeat(np.cumsum(count) - count, count)
    return place


def _checked_order(score: ArrayLike, cluster: ArrayLike) -> tuple[NDArray, NDArray[np.int64]]:
    values = np.asarray(score, np.float64)
    labels = np.asarray(cluster)
    if values.ndim != 1 or labels.shape != values.shape:
        raise ValueError(
            f'Expected `score` and `cluster` (N,), but got {values.shape} and {labels.shape}'
        )
    if len(labels) and labels.dtype.kind not in 'iu':
        raise ValueError(f'Expected `cluster` to be integers, but got {labels.dtype}')
    # NaN fails the comparison too.
    if len(values) and not (values.min() >= 0 and values.max() < np.inf):
        raise ValueError(
            'Expected `score` to be finite and at least 0, '
            f'but got values from {values.min():g} to {values.max():g}'
        )
    return values, np.unique(labels, return_inverse=True)[1].astype(np.int64)
