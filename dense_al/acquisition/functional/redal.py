"""ReDAL: an order of regions that avoids repetition.

Wu et al., ReDAL: Region-based and Diversity-aware Active Learning for Point Cloud Semantic
Segmentation, 2021.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
