"""D2ADA's density scores per predicted class, and how many picks each class gets.

Wu et al., D2ADA: Dynamic Density-aware Active Domain Adaptation for Semantic Segmentation,
ECCV 2022.
"""

import logging
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.density import density_ratio
from dense_al.acquisition.functional.round_robin import weighted_round_robin

logger = logging.getLogger('dense_al')
MIN_ROWS = 4  # two are fitted where half of them are scored
# The divergence is estimated from this many target rows of a class at most, half of them fitted.
_ROWS = 4000
# Fits are repeated on small classes until about so many rows were fitted, an odd number of times.
_FITTED = 1000
_MOST_REPEATS = 5
_MOST_NATS = 10.0


class CategoryDensity(NamedTuple):
    """Density scores of target rows within their predicted classes.

    Attributes:
        score: (M,) float64 `log p_target - log p_source` in nats, high = the source lacks it;
            -inf for rows that are not ranked.
        divergence: (C,) float64 >= 0, how far the domains differ in each class, in nats.
        weights: (C,) int64, picks of each class per pass of `weighted_round_robin`.
    """

    score: NDArray[np.float64]
    divergence: NDArray[np.float64]
    weights: NDArray[np.int64]


def category_density(
    source: ArrayLike,
    source_category: ArrayLike,
    target: ArrayLike,
    target_category: ArrayLike,
    *,
    n_classes: int,
    min_rows: int = 40,
    seed: int = 0,
    paper_compat: bool = False,
) -> CategoryDensity:
    """Density ratio of target rows within their predicted class, and the weights of the classes.

    A class's divergence is the mean log ratio of target rows under mixtures that were fitted
    without them, to equally many rows of either domain: what small samples do to the two
    mixtures then cancels, so that domains that do not differ have divergences near 0 however few
    rows a class has. A row adds at most 10 nats to either side and a negative mean counts as 0.
    The weight is `max(1, round(log2(1 + divergence)))`, 1 to 3. A class with fewer than
    `min_rows` rows in a domain takes scores and divergence from the mixtures of all classes.

    Args:
        source: (N, D) float, features of the source's regions.
        source_category: (N,) int in [0, n_classes), their predicted classes.
        target: (M, D) float, of all regions of the target, labelled or not.
        target_category: (M,) int in [0, n_classes).
        n_classes: Number of classes C.
        min_rows: Regions a class needs in either domain for mixtures of its own, >= 4: half of
            them are fitted at a time.
        seed: Of the mixtures and of the rows drawn for the divergence.
        paper_compat: The released rule: mixtures of the raw features with one component for every
            100 target rows of the class (at least 1, at most 10), divergence the absolute mean
            over the rows fitted, weight `int(log10 divergence)`, which may be 0 or negative;
            classes with fewer than 2 target rows, with fewer source rows than components, at which
            the released code stops, or with divergence 0, which has no logarithm, have weight 0 and
            are not ranked. `min_rows` has no effect. Needs scikit-learn.

    Returns:
        `CategoryDensity`; a class without target rows has divergence 0 and weight 1.

    Raises:
        ValueError: Wrong shapes, classes out of range, non-finite features, a parameter out of
            range, or fewer than 2 rows in a whole domain.

    References:
        Wu et al., D2ADA, ECCV 2022.

    >>> rng = np.random.default_rng(0)
    >>> source, target = rng.normal(size=(2, 400, 4))
    >>> category = np.repeat([0, 1], 200)
    >>> target[:200] += 3
    >>> category_density(source, category, target, category, n_classes=3).weights.tolist()
    [3, 1, 1]
    """
    if min_rows < MIN_ROWS:
        raise ValueError(f'Expected `min_rows` >= {MIN_ROWS}, but got {min_rows}')
    source, source_rows = _checked(source, source_category, n_classes, 'source')
    target, target_rows = _checked(target, target_category, n_classes, 'target')
    if source.shape[1] != target.shape[1]:
        raise ValueError(
            f'Expected `source` of shape (N, {target.shape[1]}), but got {source.shape}'
        )
    if min(len(source), len(target)) < 2:
        raise ValueError(
            f'Expected at least 2 rows in either domain, but got {len(source)} and {len(target)}'
        )
    if paper_compat:
        return _released(source, source_rows, target, target_rows, seed)
    score, divergence = np.empty(len(target)), np.zeros(n_classes)
    pooled = None
    for c, (own_source, own) in enumerate(zip(source_rows, target_rows)):
        if len(own) == 0:
            continue
        if min(len(own_source), len(own)) < min_rows:
            pooled = density_ratio(source, target, seed=seed) if pooled is None else pooled
            score[own] = pooled[own]
            divergence[c] = _mean_within(pooled[own])
        else:
            a, b = source[own_source], target[own]
            score[own] = density_ratio(a, b, seed=seed)
            divergence[c] = _held_out_divergence(a, b, seed)
    weights = np.maximum(1, np.round(np.log2(1 + divergence))).astype(np.int64)
    return CategoryDensity(score, divergence, weights)


def density_order(
    score: ArrayLike, category: ArrayLike, weights: ArrayLike, keep: ArrayLike
) -> NDArray[np.int64]:
    """Order of the regions by density: ranked within each class, merged by the classes' weights.

    Rows that may not be asked are dropped before anything is ranked or cut off, so that no class
    starves in later rounds. Cut the result to the budget.

    Args:
        score: (M,) float, higher = asked first; -inf for rows that are not ranked.
        category: (M,) int in [0, C), predicted class of each row.
        weights: (C,) int, rows of each class per pass; > 0 where a class has rows to ask.
        keep: (M,) bool, rows that may be asked.

    Returns:
        (K,) int64 rows, best first. Equal scores in a class: lower row first; classes take turns
        in ascending order.

    Raises:
        ValueError: Wrong shapes, classes out of range, scores that are NaN or infinite, or a
            class with rows whose weight is not positive.

    References:
        Wu et al., D2ADA, ECCV 2022.

    >>> density_order([5, 4, 3, 2, 1], [0, 0, 0, 1, 1], [2, 1], [True, True, False, True, True])
    array([0, 1, 3, 4])
    """
    values, labels = np.asarray(score, np.float64), np.asarray(category)
    mask, per_pass = np.asarray(keep), np.asarray(weights)
    if values.ndim != 1 or labels.shape != values.shape or mask.shape != values.shape:
        raise ValueError(
            'Expected `score`, `category` and `keep` (M,), '
            f'but got {values.shape}, {labels.shape} and {mask.shape}'
        )
    if mask.dtype != bool:
        raise ValueError(f'Expected `keep` to be bool, but got {mask.dtype}')
    if per_pass.ndim != 1:
        raise ValueError(f'Expected `weights` of shape (C,), but got {per_pass.shape}')
    labels = _checked_category(labels, len(per_pass), 'category')
    if np.isnan(values).any() or np.isposinf(values).any():
        raise ValueError('Expected `score` without NaN and inf')
    rows = np.flatnonzero(mask & (values > -np.inf))
    rows = rows[np.lexsort((rows, -values[rows], labels[rows]))]
    ends = np.searchsorted(labels[rows], np.arange(1, len(per_pass)))
    return weighted_round_robin(np.split(rows, ends) if len(per_pass) else [], per_pass)


def _held_out_divergence(source: NDArray, target: NDArray, seed: int) -> float:
    """Mean log ratio of target rows under mixtures of other rows, equally many of each domain."""
    rng = np.random.default_rng(seed)
    fitted = min(len(source), len(target) // 2, _ROWS // 2)
    repeats = int(np.clip(_FITTED // fitted, 1, _MOST_REPEATS)) // 2 * 2 + 1
    target = target[np.sort(rng.permutation(len(target))[:_ROWS])]
    ratio = np.empty((repeats, len(target)))
    for k in range(repeats):
        shuffled = rng.permutation(len(target))
        for fold in np.array_split(shuffled, 2):
            rest = np.setdiff1d(shuffled, fold)
            a = source[np.sort(rng.choice(len(source), fitted, replace=False))]
            b = target[np.sort(rng.choice(rest, fitted, replace=False))]
            ratio[k, fold] = density_ratio(a, b, seed=seed, at=target[fold])
    return _mean_within(np.median(ratio, axis=0))


def _mean_within(ratio: NDArray) -> float:
    """Mean log ratio; a few rows far from everything do not decide it."""
    return max(float(np.clip(ratio, -_MOST_NATS, _MOST_NATS).mean()), 0.0)


def _released(
    source: NDArray, source_rows: list, target: NDArray, target_rows: list, seed: int
) -> CategoryDensity:
    score = np.full(len(target), -np.inf)
    divergence = np.zeros(len(target_rows))
    weights = np.zeros(len(target_rows), np.int64)
    for c, (own_source, own) in enumerate(zip(source_rows, target_rows)):
        if len(own) < 2:
            continue
        try:
            ratio = density_ratio(source[own_source], target[own], seed=seed, paper_compat=True)
            if ratio.mean() == 0:
                raise ValueError('Expected a divergence > 0 for its logarithm, but got 0')
        except ValueError as error:  # hours into a run; the other classes can be ranked
            logger.warning('class %d has no density and weight 0: %s', c, error)
            continue
        score[own], divergence[c] = ratio, abs(ratio.mean())
        weights[c] = int(np.log10(divergence[c]))
    return CategoryDensity(score, divergence, weights)


def _checked(
    features: ArrayLike, category: ArrayLike, n_classes: int, name: str
) -> tuple[NDArray, list[NDArray[np.int64]]]:
    """The features, and the rows of each class, ascending."""
    rows = np.asarray(features)
    labels = np.asarray(category)
    if rows.ndim != 2 or labels.shape != rows.shape[:1]:
        raise ValueError(
            f'Expected `{name}` (N, D) and `{name}_category` (N,), '
            f'but got {rows.shape} and {labels.shape}'
        )
    if not np.isfinite(rows.sum(dtype=np.float64)):
        raise ValueError(f'Expected finite `{name}`, but got NaN or infinity')
    if n_classes < 1:
        raise ValueError(f'Expected `n_classes` >= 1, but got {n_classes}')
    labels = _checked_category(labels, n_classes, f'{name}_category')
    order = np.argsort(labels, kind='stable')
    return rows, np.split(order, np.searchsorted(labels[order], np.arange(1, n_classes)))


def _checked_category(labels: NDArray, n_classes: int, name: str) -> NDArray[np.int64]:
    if len(labels) and labels.dtype.kind not in 'iu':
        raise ValueError(f'Expected `{name}` to be integers, but got {labels.dtype}')
    if len(labels) and not (0 <= labels.min() and labels.max() < n_classes):
        raise ValueError(
            f'Expected `{name}` in [0, {n_classes}), but got {labels.min()} to {labels.max()}'
        )
    return labels.astype(np.int64)
