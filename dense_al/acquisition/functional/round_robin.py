"""Merging ranked lists, and how D2ADA splits a round's budget between two acquisitions.

Wu et al., D2ADA: Dynamic Density-aware Active Domain Adaptation for Semantic Segmentation,
ECCV 2022.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def weighted_round_robin(ranked: Sequence[ArrayLike], weights: ArrayLike) -> NDArray[np.int64]:
    """Merge ranked lists in repeated passes, `weights[k]` items of list `k` in each pass.

    Args:
        ranked: K lists of int items, each best first; lengths may differ, lists may be empty.
        weights: (K,) int, items a list gives in each pass; > 0 for a list that is not empty.

    Returns:
        (total,) int64, every item once per occurrence, in merged order.

    Raises:
        ValueError: Number or kind of weights is wrong, or a list that is not empty has a weight
            <= 0 (it could never be used up).

    References:
        Wu et al., D2ADA, ECCV 2022.

    >>> weighted_round_robin([[1, 2, 3], [11, 12, 13], [21]], [1, 2, 3]).tolist()
    [1, 11, 12, 21, 2, 13, 3]
    """
    lists = [np.asarray(items, dtype=np.int64).ravel() for items in ranked]
    weight = np.asarray(weights)
    if weight.shape != (len(lists),):
        raise ValueError(f'Expected `weights` of shape ({len(lists)},), but got {weight.shape}')
    if not (np.isfinite(weight).all() and (weight == np.round(weight)).all()):
        raise ValueError(f'Expected whole-numbered `weights`, but got {weight.tolist()}')
    sizes = np.array([len(items) for items in lists], dtype=np.int64)
    stuck = np.flatnonzero((sizes > 0) & (weight <= 0))
    if len(stuck):
        k = int(stuck[0])
        raise ValueError(
            f'Expected `weights` > 0 where a list is not empty, but got {weight[k]} for list {k}'
            f' of {sizes[k]} items'
        )
    if sizes.sum() == 0:
        return np.zeros(0, dtype=np.int64)
    # Item j of list k is handed out in pass j // weight[k]; within a pass lists keep their order.
    which = np.repeat(np.arange(len(lists)), sizes)
    rank = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    passes = rank // weight.astype(np.int64)[which]
    return np.concatenate(lists)[np.lexsort((rank, which, passes))]


def d2ada_budgets(
    alpha: float,
    beta: float,
    selection_size: float,
    iteration: int,
    *,
    paper_compat: bool = False,
) -> tuple[float, float]:
    """Split of a round's budget: density-aware part, uncertainty part.

    The share of the density-aware part is `alpha * 2 ** (beta * (1 - iteration))` with iterations
    counted from 1, kept within [0, 1].

    Args:
        alpha: Share in round 1, >= 0.
        beta: How fast it falls, per round, in powers of 2.
        selection_size: The round's budget in any unit (the paper: images' worth of pixels), >= 0.
        iteration: Round, 1 for the first one.
        paper_compat: Do not clamp. The released code counts from 0, so that its first round has a
            share above 1 and a negative uncertainty budget.

    Returns:
        `(density_budget, uncertainty_budget)`, floats in the unit of `selection_size`, summing to
        it.

    Raises:
        ValueError: A parameter out of range.

    References:
        Wu et al., D2ADA, ECCV 2022.

    >>> [d2ada_budgets(1.0, 1.0, 29, i) for i in (1, 2, 3)]
    [(29.0, 0.0), (14.5, 14.5), (7.25, 21.75)]
    >>> d2ada_budgets(1.0, 1.0, 29, 0, paper_compat=True)
    (58.0, -29.0)
    """
    for name, value in (('alpha', alpha), ('selection_size', selection_size)):
        if not 0 <= value < np.inf:
            raise ValueError(f'Expected `{name}` >= 0, but got {value}')
    if not np.isfinite(beta):
        raise ValueError(f'Expected a finite `beta`, but got {beta}')
    first = 0 if paper_compat else 1
    if iteration < first:
        raise ValueError(f'Expected `iteration` >= {first}, but got {iteration}')
    share = float(alpha * 2.0 ** (beta * (1 - iteration)))
    if not paper_compat:
        share = min(share, 1.0)
    density = share * float(selection_size)
    return density, (1 - share) * float(selection_size)
