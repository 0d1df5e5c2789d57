"""Greedy k-center whose distances count by the row they lead to."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.k_center import farthest_first
from dense_al.acquisition.functional.products import CentredRows


def weighted_k_center(
    features: ArrayLike,
    labelled: ArrayLike,
    weights: ArrayLike,
    *,
    n: int | None = None,
    always: bool = True,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Pick rows one by one, each the farthest from the labelled rows and the picks so far.

    The distance of a row to its nearest centre counts times its weight.

    Args:
        features: (N, D) float.
        labelled: (N,) bool, rows that are centres already and never picked; with none the first
            pick is drawn uniformly.
        weights: (N,) float >= 0.
        n: Rows to pick; None: all that are not labelled.
        always: Weigh at every step; else only the distances to the `labelled` rows (with none to
            the first pick), and distances to later picks as they are.
        rng: Draws the first pick and breaks ties.

    Returns:
        (n,) int64 rows in the order of picking.

    Raises:
        ValueError: Wrong shapes, negative or non-finite weights, `n` out of range.

    References:
        Vo et al., Active Learning Strategies for Weakly-Supervised Object Detection, 2022: the
        baseline core-set-ent; its released code weighs only the first step.

    >>> x, none = [[0.0], [3.0], [4.0]], [True, False, False]
    >>> weighted_k_center(x, none, [1, 2, 1], rng=np.random.default_rng(0)).tolist()
    [1, 2]
    """
    data = CentredRows(features)
    mask, factor = np.asarray(labelled, bool), np.asarray(weights, np.float64)
    if mask.shape != (len(data),) or factor.shape != (len(data),):
        raise ValueError(
            f'Expected `labelled` and `weights` of shape (N,) for {len(data)} rows, but got '
            f'{mask.shape} and {factor.shape}'
        )
    if not np.isfinite(factor).all() or (factor < 0).any():
        raise ValueError('Expected finite `weights` of at least 0, but got others')
    free = ~mask
    n = int(free.sum()) if n is None else n
    if not 0 <= n <= free.sum():
        raise ValueError(f'Expected `n` in [0, {int(free.sum())}], but got {n}')
    rank = rng.permutation(len(data))
    first: NDArray[np.int64] = np.empty(0, np.int64)
    if n and not mask.any():
        first = np.array([int(rng.integers(len(data)))])
        free[first] = False
    distance = np.sqrt(data.nearest(np.flatnonzero(~free)))
    if n and not always:
        distance, factor = distance * factor, np.ones(len(data))

    def measure(row: int) -> NDArray[np.float64]:
        return np.sqrt(data.nearest(np.array([row])))

    rest = farthest_first(distance, ~free, n - len(first), rank, measure, factor)
    return np.concatenate([first, rest])
