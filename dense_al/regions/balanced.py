"""Compact regions of a scan with about as many points each."""

from typing import Any, NamedTuple

import numpy as np

from dense_al.regions.base import check_integer, check_number
from dense_al.regions.scan_base import ScanRegions, check_points

_NEAR = 6
_SETTLED = 1e-3


class BalancedClusters(ScanRegions):
    """Clusters of balanced sizes, the regions of LiDAL (Hu et al., ECCV 2022).

    LiDAL takes balanced k-means with one iteration from random centres. Here the scan is halved
    along its principal axes until there are enough parts, and then pairs of neighbouring parts
    are divided anew, each time at the plane between their centres as far as the sizes allow. The
    sum of squared distances to the centres falls with every such step.

    Args:
        n_regions: Regions per scan; a scan of fewer points has one for each.
        tolerance: Sizes differ from N / n_regions by at most this share, or by rounding.
        sweeps: How often all pairs are divided anew, at most.

    Raises:
        ValueError: An argument out of range.

    >>> line = np.array([[0, 0, 0], [9, 0, 0], [1, 0, 0], [8, 0, 0]], np.float32)
    >>> BalancedClusters(n_regions=2).map(line, np.eye(4))
    array([0, 1, 0, 1], dtype=int32)
    """

    def __init__(self, *, n_regions: int = 20, tolerance: float = 0.05, sweeps: int = 4) -> None:
        self.n_regions = check_integer('n_regions', n_regions)
        self.tolerance = check_number('tolerance', tolerance, positive=False)
        if self.tolerance >= 1:
            raise ValueError(f'Expected `tolerance` to be below 1, but got {tolerance!r}')
        self.sweeps = check_integer('sweeps', sweeps, 0)

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in ('n_regions', 'tolerance', 'sweeps')}

    def map(self, points: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """(N,) int32 cluster of each point; `pose` does not matter."""
        columns = check_points(points).T.astype(np.float64)
        columns -= columns.mean(axis=1, keepdims=True)
        total = columns.shape[1]
        n = min(self.n_regions, total)
        parts = _halved(_Part(np.arange(total), columns), n)
        low = min(int(np.ceil((1 - self.tolerance) * total / n)), total // n)
        high = max(int((1 + self.tolerance) * total / n), -(-total // n))
        for _ in range(self.sweeps):
            if _sweep(parts, low, high) <= _SETTLED * total:
                break
        labels = np.empty(total, np.int32)
        for k, part in enumerate(parts):
            labels[part.rows] = k
        return labels


class _Part(NamedTuple):
    """Some points, lying together in memory: most of the time goes into fetching them.

    Attributes:
        rows: (n,) int64, which points they are.
        columns: (3, n) float64 in metres.
    """

    rows: np.ndarray
    columns: np.ndarray

    def divided(self, values: np.ndarray, size: int) -> tuple['_Part', '_Part']:
        """The `size` points of the lowest values, and the others."""
        order = values.argpartition(size)
        rows, columns = self.rows[order], self.columns.take(order, axis=1)
        return _Part(rows[:size], columns[:, :size]), _Part(rows[size:], columns[:, size:])


def _halved(part: _Part, n: int) -> list[_Part]:
    """`n` parts, whose sizes are the even size rounded up or down; `n` points at least."""
    if n == 1:
        return [part]
    inside = part.columns - part.columns.mean(axis=1, keepdims=True)
    axis = np.linalg.eigh(inside @ inside.T)[1][:, -1]
    axis *= np.sign(axis[np.abs(axis).argmax()])  # its sign is arbitrary, the ids are not
    left = n // 2
    first, second = part.divided(axis @ inside, len(part.rows) * left // n)
    return _halved(first, left) + _halved(second, n - left)


def _sweep(parts: list[_Part], low: int, high: int) -> int:
    """Divides pairs of neighbouring parts anew, in place; returns how many points moved.

    Args:
        parts: Each of `low` to `high` points; changed in place.
        low: Least size of a part.
        high: Largest size of a part.
    """
    centres = np.stack([part.columns.mean(axis=1) for part in parts])
    moved = 0
    for a, b in _neighbours(centres):
        along = [(centres[b] - centres[a]) @ parts[k].columns for k in (a, b)]
        middle = (centres[b] @ centres[b] - centres[a] @ centres[a]) / 2
        natural = sum(int((values < middle).sum()) for values in along)
        both = sum(map(len, along))
        size = min(max(natural, low, both - high), high, both - low)
        if size == len(along[0]) and along[0].max() <= along[1].min():
            continue
        whole = _Part(
            np.concatenate([parts[a].rows, parts[b].rows]),
            np.concatenate([parts[a].columns, parts[b].columns], axis=1),
        )
        values = np.concatenate(along)
        parts[a], parts[b] = whole.divided(values, size)
        edge = np.partition(values, size)[size]
        moved += int((along[0] > edge).sum() + (along[1] < edge).sum())
        centres[a], centres[b] = (parts[k].columns.mean(axis=1) for k in (a, b))
    return moved


def _neighbours(centres: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of which one is among the nearest of the other, in order."""
    squared = ((centres[:, None] - centres[None]) ** 2).sum(axis=-1)
    ranks = squared.argsort(axis=1, kind='stable').argsort(axis=1, kind='stable')
    near = ranks <= _NEAR
    return [(a, b) for a, b in np.argwhere(np.triu(near | near.T, 1)).tolist()]
