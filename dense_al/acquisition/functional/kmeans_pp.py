"""k-means++ draws: rows, or whole groups of rows (the patterns of an image), far from the centres.

Arthur and Vassilvitskii, k-means++: The Advantages of Careful Seeding, 2007; groups as in Vo et
al., Active Learning Strategies for Weakly-Supervised Object Detection, 2022 (BiB).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.k_center import checked_mask
from dense_al.acquisition.functional.products import CentredRows

_CACHE_BYTES = 1 << 28


def grouped_kmeans_pp(
    features: ArrayLike,
    groups: ArrayLike,
    n_groups: int,
    *,
    seed_groups: ArrayLike = (),
    n_trials: int | None = None,
    costs: ArrayLike | None = None,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Choose groups so that their rows, taken together, are spread-out centres.

    Each step draws `n_trials` rows with a probability proportional to the squared distance to the
    nearest centre, and adds the group of that row whose rows as centres leave the smallest sum of
    these squared distances (the first drawn of equals). Without `seed_groups` the first group is
    drawn uniformly. Once every row coincides with a centre the rest are drawn uniformly.

    Args:
        features: (N, D) float; float32 with more than 2**24 entries is multiplied in float32.
        groups: (N,) int, the group of each row.
        n_groups: Groups to return, the seeds included.
        seed_groups: (S,) int, distinct groups taken from the start.
        n_trials: Rows drawn per step; by default `2 + int(ln n_groups)`.
        costs: (G,) float > 0, the cost of each group in ascending order of the groups: of the drawn
            groups the one whose sum falls most per cost is added.
        rng: Source of the draws, one call of `random(n_trials)` per step.

    Returns:
        (n_groups,) int64 distinct groups: the seeds, then the others in the order of choosing.

    Raises:
        ValueError: Wrong shapes, non-finite features, unknown or repeated seeds, or `n_groups`
            out of [number of seeds, number of groups]; costs that are not above 0.

    References:
        Vo et al., Active Learning Strategies for Weakly-Supervised Object Detection, 2022.

    >>> x, rng = [[0.0], [0.1], [9.0], [9.1], [0.2]], np.random.default_rng(0)
    >>> grouped_kmeans_pp(x, [5, 5, 7, 7, 8], 2, seed_groups=[5], rng=rng).tolist()
    [5, 7]
    """
    data = CentredRows(features, n_groups)
    names, codes = _checked_groups(groups, len(data))
    seeds = _checked_seeds(seed_groups, names, n_groups)
    trials = _checked_trials(n_trials, n_groups)
    if not len(seeds) and n_groups:
        seeds = rng.integers(len(names), size=1)
    price = _checked_costs(costs, len(names))
    chosen = _choose_groups(
        data, codes, _members(codes), seeds, n_groups, trials, rng.random, price=price
    )
    if len(chosen) < n_groups:
        left = np.setdiff1d(np.arange(len(names)), chosen)
        chosen += rng.permutation(left)[: n_groups - len(chosen)].tolist()
    return names[chosen] if chosen else names[:0]


def kmeans_pp(
    features: ArrayLike,
    labelled: ArrayLike,
    n: int,
    *,
    n_trials: int | None = None,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw rows with a probability proportional to the squared distance to the nearest centre.

    Centres are the labelled rows and the rows drawn so far. Of `n_trials` rows drawn per step the
    one that leaves the smallest sum of squared distances is kept. With no row labelled the first
    is drawn uniformly. Once every row coincides with a centre the rest are drawn uniformly.

    Args:
        features: (N, D) float. float32 with more than 2**24 entries is multiplied in float32,
            anything else in float64; sums are float64 always.
        labelled: (N,) bool, rows that are centres already and never drawn.
        n: Rows to draw, in [0, number of rows not labelled].
        n_trials: Rows drawn per step; by default `2 + int(ln n)`, 1 for plain D^2 sampling.
        rng: Source of the draws.

    Returns:
        (n,) int64 rows in the order of drawing.

    Raises:
        ValueError: Wrong shapes, non-finite features, or `n` or `n_trials` out of range.

    References:
        Arthur and Vassilvitskii, k-means++: The Advantages of Careful Seeding, 2007.

    >>> x = np.array([[0.0], [0.0], [5.0]])
    >>> kmeans_pp(x, [True, False, False], 1, rng=np.random.default_rng(0)).tolist()
    [2]
    """
    data = CentredRows(features, n)
    mask = checked_mask(labelled, len(data), n)
    trials = _checked_trials(n_trials, n)
    rows, first = np.flatnonzero(mask), []
    if not len(rows) and n:
        rows = np.array([int(rng.integers(len(data)))])
        first = rows.tolist()
    nearest = data.nearest(rows)

    def squared_distance(centres: np.ndarray) -> np.ndarray:
        return np.concatenate([squared for _, squared in data.squared(centres)], axis=1)

    return sample_rows(squared_distance, nearest, mask, first, n, trials, rng)


def sample_rows(
    squared_distance: Callable[[np.ndarray], np.ndarray],
    nearest: np.ndarray,
    excluded: np.ndarray,
    first: list[int],
    n: int,
    n_trials: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """D^2 sampling of single rows over any squared distance.

    Args:
        squared_distance: Rows (T,) -> (T, N) squared distances to all rows.
        nearest: (N,) float64 squared distance to the nearest centre; changed in place.
        excluded: (N,) bool, rows never drawn.
        first: Rows already picked; they count towards `n`.
        n: Rows to return.
        n_trials: Rows drawn per step.
        rng: Source of the draws.

    Returns:
        (n,) int64: `first`, then the rows drawn.

    >>> x = np.array([0.0, 0.0, 5.0])
    >>> sample_rows(lambda r: (x[r][:, None] - x) ** 2, x**2, x < -1, [0], 2, 1,
    ...             np.random.default_rng(0)).tolist()
    [0, 2]
    """
    picks = list(first)
    free = ~excluded
    free[picks] = False
    weight = np.where(free, nearest, 0.0)
    while len(picks) < n:
        drawn = _draw(weight, rng.random(n_trials))
        if not len(drawn):
            break
        left = np.minimum(squared_distance(drawn), weight)
        left[np.arange(len(drawn)), drawn] = 0
        best = int(left.sum(axis=1).argmin()) if n_trials > 1 else 0
        picks.append(int(drawn[best]))
        free[picks[-1]] = False
        weight = left[best]
    rest = rng.permutation(np.flatnonzero(free))[: n - len(picks)]
    return np.array([*picks, *rest], np.int64)


def _members(codes: np.ndarray) -> list[np.ndarray]:
    """The rows of each code, ascending."""
    order = np.argsort(codes, kind='stable')
    return np.split(order, np.cumsum(np.bincount(codes))[:-1])


def _choose_groups(
    data: CentredRows,
    codes: np.ndarray,
    members: list[np.ndarray],
    seeds: np.ndarray,
    n_groups: int,
    trials: int,
    draw: Callable[[int], np.ndarray],
    price: np.ndarray | None = None,
) -> list[int]:
    """Seeds and the groups added to them; fewer than `n_groups` once the potential is 0."""
    chosen = [int(s) for s in seeds]
    seed_rows = np.concatenate([members[s] for s in chosen]) if chosen else np.empty(0, np.int64)
    weight = data.nearest(seed_rows)
    weight[seed_rows] = 0
    cache: dict[int, np.ndarray] = {}
    while len(chosen) < n_groups:
        drawn = _draw(weight, draw(trials))
        if not len(drawn):
            break
        candidates = codes[drawn]
        _measure(data, members, np.unique(candidates), cache)
        left = {int(c): np.minimum(weight, cache[int(c)]) for c in candidates}
        potential = np.array([left[int(c)].sum() for c in candidates])
        loss = potential if price is None else (potential - weight.sum()) / price[candidates]
        best = int(candidates[loss.argmin()])
        chosen.append(best)
        weight = left[best]
        if len(cache) * weight.nbytes > _CACHE_BYTES:
            cache.clear()
    return chosen


def _draw(weight: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Rows at `uniform` of the cumulated weight, never one of weight 0; none if all are 0."""
    total = np.cumsum(weight, dtype=np.float64)
    if not total[-1] > 0:
        return np.empty(0, np.int64)
    last = int(np.flatnonzero(weight)[-1])
    return np.minimum(np.searchsorted(total, uniform * total[-1], side='right'), last)


def _measure(
    data: CentredRows,
    members: list[np.ndarray],
    wanted: np.ndarray,
    cache: dict[int, np.ndarray],
) -> None:
    """Put the (N,) squared distance to the nearest row of each wanted group into the cache."""
    new = [int(c) for c in wanted if int(c) not in cache]
    if not new:
        return
    rows = np.concatenate([members[c] for c in new])
    starts = np.cumsum([0] + [len(members[c]) for c in new[:-1]])
    found = np.empty((len(new), len(data)))
    for part, squared in data.squared(rows):
        np.minimum.reduceat(squared, starts, axis=0, out=found[:, part])
    for code, distance in zip(new, found):
        distance[members[code]] = 0
        cache[code] = distance


def _checked_groups(groups: ArrayLike, rows: int) -> tuple[np.ndarray, np.ndarray]:
    groups = np.asarray(groups)
    if groups.shape != (rows,) or (rows and groups.dtype.kind not in 'iu'):
        raise ValueError(
            f'Expected `groups` to be ({rows},) integers, but got {groups.shape} {groups.dtype}'
        )
    names, codes = np.unique(groups, return_inverse=True)
    return names.astype(np.int64), codes


def _checked_seeds(seeds: ArrayLike, names: np.ndarray, n_groups: int) -> np.ndarray:
    wanted = np.asarray(seeds)
    unknown = np.setdiff1d(wanted, names)
    if len(unknown) or len(np.unique(wanted)) != wanted.size:
        what = f'the unknown {unknown[:5].tolist()}' if len(unknown) else f'{wanted.tolist()}'
        raise ValueError(f'Expected `seed_groups` to be distinct groups of rows, but got {what}')
    if not wanted.size <= n_groups <= len(names):
        raise ValueError(
            f'Expected `n_groups` to be in [{wanted.size}, {len(names)}] (the seeds, all groups), '
            f'but got {n_groups}'
        )
    return np.searchsorted(names, wanted)


def _checked_costs(costs: ArrayLike | None, n_groups: int) -> np.ndarray | None:
    if costs is None:
        return None
    costs = np.asarray(costs, np.float64)
    if costs.shape != (n_groups,) or not (np.isfinite(costs) & (costs > 0)).all():
        raise ValueError(
            f'Expected {n_groups} finite `costs` above 0, but got {costs.shape} {costs[:5]}'
        )
    return costs


def _checked_trials(n_trials: int | None, n: int) -> int:
    if n_trials is None:
        return 2 + int(np.log(max(n, 1)))
    if n_trials < 1:
        raise ValueError(f'Expected `n_trials` to be at least 1, but got {n_trials}')
    return int(n_trials)
