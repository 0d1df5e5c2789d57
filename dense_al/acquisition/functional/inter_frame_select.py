"""Regions of LiDAR sequences chosen by the disagreement between frames.

Hu et al., LiDAL: Inter-frame Uncertainty Based Active Learning for 3D LiDAR, ECCV 2022.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def select_inter_frame(
    divergence: ArrayLike,
    entropy: ArrayLike,
    size: ArrayLike,
    centre: ArrayLike,
    candidates: ArrayLike,
    budget: float,
    *,
    min_distance: float = 5.0,
    largest: bool = True,
    mode: str = 'strict',
    chosen_before: ArrayLike | None = None,
    sequence: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Greedy choice of regions by divergence, one for each place, within a budget of points.

    Regions are visited by falling divergence. One that lies closer than `min_distance` to a region
    picked before shows the same place: it takes the other's slot if its entropy is higher, else it
    is passed over. `largest=False` mirrors this for pseudo-labels (rising divergence, lower entropy
    wins) and leaves out regions of divergence 0, which no other frame has seen.

    'strict': the sum of sizes never exceeds the budget and no two of the picks and of
    `chosen_before` are closer than `min_distance`; a region takes over a slot only where both hold
    afterwards. After the first region that does not fit, smaller ones fill what is left.

    'paper' repeats the released loop: it stops at the first region that does not fit, a swap never
    checks the budget, only one conflict is looked at (the lowest id; the released one is the first
    in a set's order), and `chosen_before` has no effect.

    Args:
        divergence, entropy: (R,) float.
        size, centre: (R,) points of each region, > 0, and (R, 3) float, metres.
        candidates: (R,) bool, or the ids (int) that may be picked.
        budget: Points.
        min_distance: Metres; closer than this (strictly) is the same place. 0 turns it off.
        largest, mode: See above.
        chosen_before: Ids or (R,) bool of regions that were labelled earlier.
        sequence: (R,) int; regions of different sequences are never close. By default one sequence.

    Returns:
        (n,) int64 ids, best divergence first. Equal divergence: lower id first ('paper' with
        `largest`: higher id first).

    Raises:
        ValueError: Wrong shapes, ids out of range, non-finite values of candidates, sizes below
            1, an unknown mode, or a negative `min_distance`.

    References: Hu et al., LiDAL, ECCV 2022.

    >>> centre = [[0, 0, 0], [3, 0, 0], [20, 0, 0], [40, 0, 0]]
    >>> select_inter_frame([0.9, 0.8, 0.7, 0.6], [0.1, 0.5, 0.3, 0.2], [10, 10, 10, 10], centre,
    ...                    candidates=[0, 1, 2, 3], budget=25).tolist()
    [1, 2]
    """
    if mode not in ('strict', 'paper'):
        raise ValueError(f"Expected `mode` in ('strict', 'paper'), but got {mode!r}")
    if not 0 <= min_distance < np.inf:
        raise ValueError(f'Expected `min_distance` >= 0, but got {min_distance}')
    values = _checked_regions(divergence, entropy, size, centre)
    sign = 1.0 if largest else -1.0
    score, gain, size, place = sign * values[0], sign * values[1], *values[2:]
    ids = _region_ids(candidates, len(score), 'candidates')
    if not np.isfinite(score[ids]).all() or not np.isfinite(gain[ids]).all():
        raise ValueError('Expected finite `divergence` and `entropy` of candidates')
    if not largest:
        ids = ids[score[ids] != 0]
    elif mode == 'paper':
        ids = ids[::-1]
    ids = ids[np.argsort(-score[ids], kind='stable')]
    places = _Places(place, sequence, min_distance)
    if mode == 'paper':
        _paper_loop(ids, gain, size, budget, places)
    else:
        before = _region_ids(chosen_before, len(score), 'chosen_before')
        ids = ids[~np.isin(ids, before)]
        _strict_loop(ids, gain, size, budget, places, set(before.tolist()))
    return ids[np.isin(ids, np.fromiter(places.picked, np.int64))]


def _paper_loop(
    ids: NDArray, gain: NDArray, size: NDArray, budget: float, places: '_Places'
) -> None:
    for region in ids.tolist():
        close = places.close_to(region)
        if not close:
            budget -= size[region]
            if budget < 0:
                break
            places.add(region)
        elif gain[other := min(close)] < gain[region]:
            places.swap(other, region)
            budget += size[other] - size[region]


def _strict_loop(
    ids: NDArray, gain: NDArray, size: NDArray, budget: float, places: '_Places', fixed: set[int]
) -> None:
    for region in fixed:
        places.add(region)
    smallest = size[ids].min(initial=np.inf)
    filling = False
    for region, points in zip(ids.tolist(), size[ids].tolist()):
        if budget < smallest:
            break
        if filling and points > budget:
            continue
        close = places.close_to(region)
        if not close:
            filling = filling or points > budget
            if points <= budget:
                places.add(region)
                budget -= points
        elif len(close) == 1 and close[0] not in fixed:
            left = budget + size[close[0]] - points
            if gain[region] > gain[close[0]] and left >= 0:
                places.swap(close[0], region)
                budget = left


class _Places:
    """Picked regions in a hash grid with cells of the suppression distance."""

    def __init__(self, centre: NDArray, sequence: ArrayLike | None, distance: float) -> None:
        self.picked: set[int] = set()
        self._cells: dict[int, list[tuple]] = {}
        self._around: list[int] = []
        self._centre = centre
        self._limit = distance**2
        self._key = np.zeros(len(centre), dtype=np.int64)
        if distance == 0 or len(centre) == 0:
            return
        cell = np.floor((centre - centre.min(axis=0)) / distance)
        extent = cell.max(axis=0) + 3
        if sequence is not None:
            # Sequences lie side by side, at least two empty cells apart.
            number = np.unique(_column(sequence, len(centre), 'sequence'), return_inverse=True)[1]
            cell[:, 0] += number * extent[0]
            extent[0] *= number.max() + 1
        if extent.prod() >= 2.0**62:
            raise ValueError('Expected centres within 2**62 cells of `min_distance`')
        strides = np.array([extent[1] * extent[2], extent[2], 1]).astype(np.int64)
        self._key = cell.astype(np.int64) @ strides
        self._around = ((np.indices((3, 3, 3)).reshape(3, 27).T - 1) @ strides).tolist()

    def close_to(self, region: int) -> list[int]:
        """Picked regions closer than the distance."""
        key, cells = int(self._key[region]), self._cells
        near = [e for step in self._around if key + step in cells for e in cells[key + step]]
        x, y, z = self._centre[region].tolist()
        limit = self._limit
        return [i for i, a, b, c in near if (a - x) ** 2 + (b - y) ** 2 + (c - z) ** 2 < limit]

    def add(self, region: int) -> None:
        self.picked.add(region)
        entry = (region, *self._centre[region].tolist())
        self._cells.setdefault(int(self._key[region]), []).append(entry)

    def swap(self, old: int, new: int) -> None:
        self.picked.remove(old)
        self._cells[int(self._key[old])].remove((old, *self._centre[old].tolist()))
        self.add(new)


def _region_ids(ids: ArrayLike | None, n: int, name: str) -> NDArray[np.int64]:
    """Sorted unique ids from ids, a mask or nothing."""
    ids = np.asarray(() if ids is None else ids)
    if ids.dtype == bool:
        return np.flatnonzero(_column(ids, n, name))
    if ids.size == 0:
        return np.zeros(0, dtype=np.int64)
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f'Expected `{name}` as ids (int) or a mask (bool), but got {ids.dtype}')
    if ids.min() < 0 or ids.max() >= n:
        raise ValueError(f'Expected `{name}` in [0, {n}), but got [{ids.min()}, {ids.max()}]')
    return np.unique(ids).astype(np.int64)


def _column(value: ArrayLike, n: int, name: str) -> NDArray:
    value = np.asarray(value)
    if value.shape != (n,):
        raise ValueError(f'Expected `{name}` of shape ({n},), but got {value.shape}')
    return value


def _checked_regions(
    divergence: ArrayLike, entropy: ArrayLike, size: ArrayLike, centre: ArrayLike
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    score, place = np.asarray(divergence, np.float64), np.asarray(centre, np.float64)
    if score.ndim != 1:
        raise ValueError(f'Expected `divergence` of shape (R,), but got {score.shape}')
    n = len(score)
    unsure = _column(np.asarray(entropy, np.float64), n, 'entropy')
    points = _column(np.asarray(size, np.float64), n, 'size')
    place = place.reshape(0, 3) if place.size == 0 else place
    if place.shape != (n, 3):
        raise ValueError(f'Expected `centre` of shape ({n}, 3), but got {place.shape}')
    if n and not points.min() > 0:
        raise ValueError(f'Expected `size` > 0, but got {points.min()}')
    if not np.isfinite(place).all():
        raise ValueError('Expected finite `centre`, but got NaN or infinity')
    return score, unsure, points, place
