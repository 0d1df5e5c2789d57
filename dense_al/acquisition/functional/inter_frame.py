"""Disagreement between frames of a LiDAR sequence, and regions chosen by it.

Hu et al., LiDAL: Inter-frame Uncertainty Based Active Learning for 3D LiDAR, ECCV 2022.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.special import entr

_CHUNK = 8192
_GRID_SHIFTS = (0.0, 0.25, 0.5, 0.75)  # along the diagonal, in voxels
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
_Frames = list[tuple[NDArray, NDArray]]


def inter_frame_scores(
    query_probs: ArrayLike,
    query_xyz: ArrayLike,
    neighbour_probs: Sequence[ArrayLike],
    neighbour_xyz: Sequence[ArrayLike],
    *,
    max_distance: float = 0.1,
    eps: float = 1e-5,
    approximate: bool = False,
    workers: int | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Divergence and entropy of each point of a frame over its neighbouring frames.

    In every neighbour the nearest point counts if it is at most `max_distance` away. With `x` and
    `y` the query's and the match's probabilities plus `eps`, the divergence is the mean over
    matches of `sum over classes of x ln(x / y) - x + y`; the entropy is that of the mean of the
    query's own and all matched distributions, normalised to sum 1.

    Args:
        query_probs: (P, C) float, class probabilities.
        query_xyz: (P, 3) float, metres, in a frame of reference shared with the neighbours.
        neighbour_probs, neighbour_xyz: K arrays (P_k, C) and K arrays (P_k, 3), metres.
        max_distance: Metres, inclusive, > 0.
        eps: Added to both sides of the divergence, > 0.
        approximate: Look at one point of each frame in the query's voxel of four shifted grids
            only. Matches are never farther than `max_distance`, but they need not be the nearest
            point, and on street scans about a tenth is missed.
        workers: Threads, by default one per core; the result does not depend on it.

    Returns:
        divergence (P,) float64 in nats, >= 0, 0 without a match; entropy (P,) float64 in nats, in
        [0, ln C]; matches (P,) int64 in [0, K]. Probabilities given as float32 are summed over
        classes in float32 and over frames in float64.

    Raises:
        ValueError: Wrong shapes, different numbers of arrays, non-finite coordinates, negative
            probabilities, or a parameter out of range.

    References: Hu et al., LiDAL, ECCV 2022.

    >>> divergence, entropy, matches = inter_frame_scores(
    ...     [[0.5, 0.5], [0.9, 0.1]], [[0.0, 0, 0], [1, 0, 0]],
    ...     [[[0.5, 0.5]], [[0.6, 0.4]]], [[[0.03, 0, 0]], [[1.05, 0, 0]]])
    >>> divergence.round(4).tolist(), entropy.round(4).tolist(), matches.tolist()
    ([0.0, 0.2263], [0.6931, 0.5623], [1, 1])
    """
    probs, xyz, frames = _checked_frames(query_probs, query_xyz, neighbour_probs, neighbour_xyz)
    for name, value in (('max_distance', max_distance), ('eps', eps)):
        if not 0 < value < np.inf:
            raise ValueError(f'Expected `{name}` > 0, but got {value}')
    # Queries next to each other visit the same part of a tree: a third less time than scan order.
    order = np.lexsort(np.floor(xyz / (5 * max_distance)).T)
    probs, xyz = probs[order], xyz[order]
    find: Callable[[NDArray], NDArray[np.int32]] = partial(_nearest_matches, xyz, max_distance)
    if approximate:
        find = _VoxelMatches(xyz, max_distance, max((len(x) for _, x in frames), default=0))
    with ThreadPoolExecutor(workers or _CORES) as pool:
        found = list(pool.map(lambda frame: find(frame[1]), frames))
        starts = range(0, len(probs), _CHUNK)
        score = partial(_chunk_scores, probs, frames, found, eps)
        parts = list(pool.map(score, starts))
    divergence, entropy, matches = np.zeros((3, len(order)))
    for start, part in zip(starts, parts):
        rows = order[start : start + _CHUNK]
        divergence[rows], entropy[rows], matches[rows] = part
    return divergence, entropy, matches.astype(np.int64)


def _nearest_matches(xyz: NDArray, max_distance: float, frame_xyz: NDArray) -> NDArray[np.int32]:
    """Row of the nearest point of a frame for every query point, -1 beyond `max_distance`."""
    tree = cKDTree(frame_xyz, balanced_tree=False, compact_nodes=False)
    # The tree's bound is exclusive, ours inclusive.
    distance, nearest = tree.query(xyz, distance_upper_bound=np.nextafter(max_distance, np.inf))
    return np.where(distance <= max_distance, nearest, -1).astype(np.int32)


class _VoxelMatches:
    """Near, not always nearest, points by hashing into shifted voxel grids, one point per slot.

    Distances are checked, so that a collision of voxels can only lose a match.
    """

    def __init__(self, xyz: NDArray, max_distance: float, largest_frame: int) -> None:
        self._xyz = xyz
        self._max_distance = max_distance
        self._edge = 1.5 * max_distance
        self._bits = int(largest_frame).bit_length() + 2
        self._slots = [self._hash(xyz, shift) for shift in _GRID_SHIFTS]

    def __call__(self, frame_xyz: NDArray) -> NDArray[np.int32]:
        rows = np.arange(len(frame_xyz), dtype=np.int32)
        table = np.zeros(1 << self._bits, dtype=np.int32)
        best = np.full(len(self._xyz), self._max_distance**2)
        found = np.full(len(self._xyz), -1, dtype=np.int32)
        for shift, slots in zip(_GRID_SHIFTS, self._slots):
            table[self._hash(frame_xyz, shift)] = rows
            near = np.take(table, slots)  # or left over from the last grid, as good as any
            gap = np.take(frame_xyz, near, axis=0)
            gap -= self._xyz
            distance = np.einsum('ij,ij->i', gap, gap)
            closer = distance <= best
            np.copyto(best, distance, where=closer)
            np.copyto(found, near, where=closer)
        return found

    def _hash(self, xyz: NDArray, shift: float) -> NDArray[np.int64]:
        voxel = np.floor(xyz / self._edge + shift).astype(np.int64)
        mixed = (voxel[:, 0] * 73856093) ^ (voxel[:, 1] * 19349663) ^ (voxel[:, 2] * 83492791)
        return mixed & ((1 << self._bits) - 1)


def _chunk_scores(
    probs: NDArray, frames: _Frames, found: list[NDArray], eps: float, start: int
) -> tuple[NDArray, NDArray, NDArray]:
    """Divergence, entropy and number of matches of the query rows `start : start + _CHUNK`."""
    own = probs[start : start + _CHUNK]
    shift = own.dtype.type(eps)
    x = own + shift
    log_x = np.log(x)
    total = own.astype(np.float64)
    own_mass = total.sum(axis=1)
    cross = np.zeros(len(own))
    matches = np.zeros(len(own))
    for (frame_probs, _), nearest in zip(frames, found):
        row = nearest[start : start + _CHUNK]
        hit = row >= 0
        y = np.take(frame_probs, np.maximum(row, 0), axis=0)
        y *= hit[:, None]
        total += y
        matches += hit
        y += shift
        ratio = np.subtract(log_x, np.log(y, out=y), out=y)
        cross += np.einsum('ij,ij->i', x, ratio) * hit
    mass = total.sum(axis=1)
    # Sum of x ln(x / y) - x + y over matches; eps cancels in y - x.
    divergence = cross - matches * own_mass + (mass - own_mass)
    divergence = np.maximum(divergence / np.maximum(matches, 1), 0)
    entropy = entr(total / np.where(mass > 0, mass, 1)[:, None]).sum(axis=1)
    return divergence, entropy, matches


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


def _checked_frames(
    query_probs: ArrayLike,
    query_xyz: ArrayLike,
    neighbour_probs: Sequence[ArrayLike],
    neighbour_xyz: Sequence[ArrayLike],
) -> tuple[NDArray, NDArray, _Frames]:
    """Query and frames as contiguous arrays of the query's dtype; frames without points dropped."""
    k = len(neighbour_probs)
    if len(neighbour_xyz) != k:
        raise ValueError(f'Expected `neighbour_xyz` of {k} arrays, but got {len(neighbour_xyz)}')
    dtype = np.result_type(np.asarray(query_probs), np.float32)
    probs, xyz = _checked_frame(query_probs, query_xyz, 'C', 'query', dtype)
    frames = [
        _checked_frame(p, x, probs.shape[1], 'neighbour', dtype)
        for p, x in zip(neighbour_probs, neighbour_xyz)
    ]
    return probs, xyz, [frame for frame in frames if len(frame[1])]


def _checked_frame(
    probs: ArrayLike, xyz: ArrayLike, n_classes: int | str, name: str, dtype: np.dtype
) -> tuple[NDArray, NDArray]:
    p: NDArray = np.ascontiguousarray(probs, dtype=dtype)
    x: NDArray = np.ascontiguousarray(xyz, dtype=np.result_type(np.asarray(xyz), np.float32))
    if p.ndim != 2 or n_classes not in ('C', p.shape[1]):
        raise ValueError(f'Expected `{name}_probs` of shape (P, {n_classes}), but got {p.shape}')
    if x.shape != (len(p), 3):
        raise ValueError(f'Expected `{name}_xyz` of shape ({len(p)}, 3), but got {x.shape}')
    if not np.isfinite(x).all():
        raise ValueError(f'Expected finite `{name}_xyz`, but got NaN or infinity')
    if p.size and not (p.min() >= 0 and p.max() < np.inf):
        raise ValueError(f'Expected finite `{name}_probs` >= 0, but got {p.min()}')
    return p, x
