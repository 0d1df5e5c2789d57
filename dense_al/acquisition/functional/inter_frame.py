"""Disagreement between frames of a LiDAR sequence.

Hu et al., LiDAL: Inter-frame Uncertainty Based Active Learning for 3D LiDAR, ECCV 2022.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.special import entr

from dense_al.machine import cores

MEASURES = ('kl', 'js')
_CHUNK = 8192
_GRID_SHIFTS = (0.0, 0.25, 0.5, 0.75)  # along the diagonal, in voxels
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
    measure: str = 'kl',
    workers: int | None = None,
    neighbour_trees: Sequence[cKDTree] | None = None,
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
        measure: `kl`: the divergence above, as published; `js`: the mean over matches of the
            Jensen-Shannon divergence of the query's and the match's distributions, in [0, ln 2].
        workers: Threads, by default one per core; the result does not depend on it.
        neighbour_trees: `search_tree` of each neighbour, for a caller that keeps them from frame to
            frame; by default they are made here. Not used where `approximate`.

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
    if measure not in MEASURES:
        raise ValueError(f'Expected `measure` in {MEASURES}, but got {measure!r}')
    # Queries next to each other visit the same part of a tree: a third less time than scan order.
    order = np.lexsort(np.floor(xyz / (5 * max_distance)).T)
    probs, xyz = probs[order], xyz[order]
    trees = neighbour_trees or [None] * len(neighbour_xyz)
    if len(trees) != len(neighbour_xyz):
        raise ValueError(
            f'Expected `neighbour_trees` of {len(neighbour_xyz)} trees, but got {len(trees)}'
        )
    trees = [tree for tree, there in zip(trees, neighbour_xyz) if np.size(there)]
    find: Callable[..., NDArray[np.int32]] = partial(_nearest_matches, xyz, max_distance)
    if approximate:
        find = _VoxelMatches(xyz, max_distance, max((len(x) for _, x in frames), default=0))
    with ThreadPoolExecutor(workers or cores()) as pool:
        found = list(pool.map(find, (there for _, there in frames), trees))
        starts = range(0, len(probs), _CHUNK)
        score = partial(_chunk_scores, probs, frames, found, eps, measure == 'js')
        parts = list(pool.map(score, starts))
    divergence, entropy, matches = np.zeros((3, len(order)))
    for start, part in zip(starts, parts):
        rows = order[start : start + _CHUNK]
        divergence[rows], entropy[rows], matches[rows] = part
    return divergence, entropy, matches.astype(np.int64)


def search_tree(xyz: ArrayLike) -> cKDTree:
    """The tree in which `inter_frame_scores` looks for the points of a (P, 3) frame."""
    return cKDTree(xyz, balanced_tree=False, compact_nodes=False)


def _nearest_matches(
    xyz: NDArray, max_distance: float, frame_xyz: NDArray, tree: cKDTree | None
) -> NDArray[np.int32]:
    """Row of the nearest point of a frame for every query point, -1 beyond `max_distance`."""
    tree = search_tree(frame_xyz) if tree is None else tree
    if tree.n != len(frame_xyz):
        raise ValueError(f'Expected a tree of {len(frame_xyz)} points, but got one of {tree.n}')
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

    def __call__(self, frame_xyz: NDArray, tree: None = None) -> NDArray[np.int32]:
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
    probs: NDArray, frames: _Frames, found: list[NDArray], eps: float, js: bool, start: int
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
        if js:
            mixed = entr((own + y) / 2).sum(axis=1)
            cross += hit * (mixed - (entr(own).sum(axis=1) + entr(y).sum(axis=1)) / 2)
            continue
        y += shift
        ratio = np.subtract(log_x, np.log(y, out=y), out=y)
        cross += np.einsum('ij,ij->i', x, ratio) * hit
    mass = total.sum(axis=1)
    # Sum of x ln(x / y) - x + y over matches; eps cancels in y - x.
    divergence = cross if js else cross - matches * own_mass + (mass - own_mass)
    divergence = np.maximum(divergence / np.maximum(matches, 1), 0)
    entropy = entr(total / np.where(mass > 0, mass, 1)[:, None]).sum(axis=1)
    return divergence, entropy, matches


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
