"""Greedy k-center: pick the row farthest from everything labelled, again and again.

Sener and Savarese, Active Learning for Convolutional Neural Networks: A Core-Set Approach, 2018.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

_ROWS, _CENTRES = 4096, 1024
_MOST_TIED = 64
# Bound on the error of a float32 squared distance, in units of the largest squared norm.
_ROUNDING = 16 * float(np.finfo(np.float32).eps)


def k_center_greedy(
    features: Any,
    labelled: ArrayLike,
    n: int,
    *,
    metric: str = 'euclidean',
    rng: np.random.Generator | None = None,
    return_radius: bool = False,
) -> Any:
    """Pick rows one by one, each the farthest from the labelled rows and the picks so far.

    Distances are float32 products of centred rows, one matrix-vector product per pick; rows whose
    distances differ by less than the rounding are compared again in float64 from differences of
    the given features, so duplicates have distance 0 and ties are ties (of more than 64 such rows
    only the first 32 and the 32 that seem farthest).
    With no row labelled the first pick is drawn by `rng`, or without one is the row farthest from
    the mean.

    Args:
        features: (N, D) float array, memory-mapped ones included, or a tensor, which is worked on
            where it lies.
        labelled: (N,) bool, rows that are labelled and never picked.
        n: Rows to pick, in [0, number of rows not labelled].
        metric: 'euclidean', or 'cosine' for Euclidean distances of rows of unit length.
        rng: Breaks ties by a permutation drawn from it; by default the lowest row wins.
        return_radius: Also return the distance of each pick at the time it was picked.

    Returns:
        (n,) int64 rows in the order of picking; with `return_radius` also (n,) float64 distances,
        in units of the features (for 'cosine' `sqrt(2 - 2 cos)`), inf for a first pick with
        nothing labelled.

    Raises:
        ValueError: Wrong shapes, an unknown metric, `n` out of range, non-finite features, or a
            row of zeros with 'cosine'.

    References:
        Sener and Savarese, Active Learning for Convolutional Neural Networks: A Core-Set
        Approach, 2018; Gonzalez, Clustering to Minimize the Maximum Intercluster Distance, 1985.

    >>> x = np.array([[0.0], [1.0], [4.0], [10.0]])
    >>> k_center_greedy(x, [True, False, False, False], 2).tolist()
    [3, 2]
    """
    features, mask = _checked(features, labelled, n, metric)
    picks, radius = _greedy(features, mask, n, metric, rng, return_radius)
    return (picks, radius) if return_radius else picks


def _greedy(
    features: Any,
    labelled: np.ndarray,
    n: int,
    metric: str,
    rng: np.random.Generator | None,
    with_radius: bool,
) -> tuple[np.ndarray, np.ndarray]:
    picks, radius = np.empty(n, np.int64), np.full(n, np.inf)
    if n == 0:
        return picks, radius
    rank = np.arange(len(labelled)) if rng is None else rng.permutation(len(labelled))
    search = _Search(features, labelled, n, metric, rank)
    start = 0
    if not labelled.any():
        first = search.farthest_from_mean() if rng is None else int(rng.integers(len(labelled)))
        picks[0], start = first, 1
        search.add(first)
    for i in range(start, n):
        picks[i] = search.farthest()
        if with_radius:
            radius[i] = np.sqrt(search.exact(int(picks[i])))
        search.add(int(picks[i]))
    return picks, radius


def _checked(features: Any, labelled: ArrayLike, n: int, metric: str) -> tuple[Any, np.ndarray]:
    if not isinstance(features, torch.Tensor):
        features = np.asanyarray(features)
    if np.ndim(features) != 2:
        raise ValueError(f'Expected `features` of shape (N, D), but got {np.shape(features)}')
    if metric not in ('euclidean', 'cosine'):
        raise ValueError(f"Expected `metric` to be 'euclidean' or 'cosine', but got {metric!r}")
    return features, checked_mask(labelled, len(features), n)


class _Search:
    """The squared distance of each row to its nearest centre, as centres are added."""

    def __init__(self, features: Any, labelled: np.ndarray, n: int, metric: str, rank: np.ndarray):
        self.features, self.unit, self.rank = features, metric == 'cosine', rank
        self.data = _centred(features, self.unit)
        self.norms = _squared_norms(self.data)
        # The nearest centre of a row cannot be much longer than the row and its distance.
        self.slack = self.norms * np.float32(_ROUNDING)
        rows = np.flatnonzero(labelled)
        self.centres = np.concatenate([rows, np.empty(n, np.int64)])
        self.count = len(rows)
        self.points = np.empty((len(self.centres), self.data.shape[1]), np.float32)
        self.points[: self.count] = _numpy(self.data[rows])
        self.nearest = nearest_squared(self.data, self.norms, rows)
        self.nearest[rows] = -np.inf
        self.dots = np.empty_like(self.nearest)
        self.known: dict[int, tuple[float, int]] = {}

    def add(self, row: int) -> None:
        """Make `row` a centre; it is never the farthest again."""
        self.centres[self.count] = row
        self.points[self.count] = _numpy(self.data[row])
        self.count += 1
        if isinstance(self.data, np.ndarray):
            np.dot(self.data, self.points[self.count - 1], out=self.dots)
        else:
            self.dots[:] = _numpy(self.data @ self.data[row])
        self.dots *= -2
        self.dots += self.norms
        self.dots += self.norms[row]
        np.maximum(self.dots, 0, out=self.dots)
        np.minimum(self.nearest, self.dots, out=self.nearest)
        self.nearest[row] = -np.inf

    def farthest(self) -> int:
        """The row with the largest distance; among equal ones that of the lowest rank."""
        top = int(self.nearest.argmax())
        floor = float(self.nearest[top]) * (1 - 2 * _ROUNDING) - float(self.slack[top])
        np.add(self.nearest, self.slack, out=self.dots)
        tied = np.flatnonzero(self.dots >= floor)
        if len(tied) == 1:
            return int(tied[0])
        if len(tied) > _MOST_TIED:
            half = _MOST_TIED // 2
            lowest = tied[np.argpartition(self.rank[tied], half)[:half]]
            largest = tied[np.argpartition(-self.nearest[tied], half)[:half]]
            tied = np.union1d(lowest, largest)
        tied = tied[np.argsort(self.rank[tied])]
        return int(tied[np.argmax([self.exact(int(row)) for row in tied])])

    def exact(self, row: int) -> float:
        """Squared distance to the nearest centre, from differences in float64."""
        best, seen = self.known.get(row, (np.inf, 0))
        if seen < self.count:
            rows, point = self.centres[seen : self.count], _numpy(self.data[row])
            near = self.norms[rows] - 2 * (self.points[seen : self.count] @ point)
            slack = self.slack[rows] + self.slack[row]
            rows = rows[near - slack <= (near + slack).min()]
            difference = self._given(rows) - self._given(np.array([row]))
            best = min(best, float(np.einsum('ij,ij->i', difference, difference).min()))
            self.known[row] = best, self.count
        return best

    def farthest_from_mean(self) -> int:
        """The row farthest from the mean, the lowest one up to rounding."""
        return int(np.flatnonzero(self.norms + self.slack >= self.norms.max())[0])

    def _given(self, rows: np.ndarray) -> np.ndarray:
        return _unit(_numpy(self.features[rows]).astype(np.float64), self.unit)


def nearest_squared(data: Any, norms: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Squared distance of each row of `data` to the nearest of `rows`, (N,) like `norms`.

    >>> nearest_squared(np.array([[0.0], [3.0]]), np.array([0.0, 9.0]), np.array([0])).tolist()
    [0.0, 9.0]
    """
    nearest = np.full(len(data), np.inf, norms.dtype)
    for first in range(0, len(rows), _CENTRES):
        part = rows[first : first + _CENTRES]
        points = data[part] * -2
        for start in range(0, len(data), _ROWS):
            squared = _numpy(data[start : start + _ROWS] @ points.T)
            squared += norms[part]
            block = nearest[start : start + _ROWS]
            np.minimum(block, squared.min(axis=1) + norms[start : start + _ROWS], out=block)
    return np.maximum(nearest, 0, out=nearest)


def farthest_first(
    nearest: NDArray[np.floating],
    taken: NDArray[np.bool_],
    n: int,
    rank: NDArray[np.integer],
    measure: Callable[[int], NDArray[np.floating]],
    weights: NDArray[np.floating] | float = 1.0,
) -> NDArray[np.int64]:
    """Greedy k-center over any distance: (n,) rows in the order of picking.

    Args:
        nearest: (N,) distance of each row to its nearest centre.
        taken: (N,) bool, rows never picked.
        n: Rows to pick, at most those not taken.
        rank: (N,) of equally far rows the one of the lowest rank is picked.
        measure: Row -> (N,) distances of all rows to it.
        weights: What distances count times.

    >>> x = np.array([0.0, 3.0, 4.0])
    >>> farthest_first(x, x == 0, 2, np.arange(3), lambda row: np.abs(x - x[row])).tolist()
    [2, 1]
    """
    picks, free = np.empty(n, np.int64), ~taken
    for k in range(n):
        value = np.where(free, nearest * weights, -np.inf)
        tied = np.flatnonzero(value == value.max())
        picks[k] = tied[rank[tied].argmin()]
        free[picks[k]] = False
        nearest = np.minimum(nearest, measure(int(picks[k])))
    return picks


def checked_mask(labelled: ArrayLike, rows: int, n: int) -> NDArray[np.bool_]:
    """Check that `labelled` is (rows,) bool and that `n` rows are left to pick.

    >>> checked_mask([True, False], 2, 1).tolist()
    [True, False]
    """
    mask = np.asarray(labelled)
    if mask.dtype != bool or mask.shape != (rows,):
        raise ValueError(
            f'Expected `labelled` to be ({rows},) bool, but got {mask.shape} {mask.dtype}'
        )
    left = int((~mask).sum())
    if not 0 <= n <= left:
        bound = 'at least 0' if n < 0 else f'at most {left} (the rows not labelled)'
        raise ValueError(f'Expected `n` to be {bound}, but got {n}')
    return mask


def _centred(features: Any, unit: bool) -> Any:
    """A float32 copy without its mean, scaled by a power of two to entries of about 1 at most."""
    if isinstance(features, torch.Tensor):
        return _centred_tensor(features, unit)
    blocks = [slice(i, i + _ROWS) for i in range(0, len(features), _ROWS)]
    total, most = np.zeros(features.shape[1]), 0.0
    for block in blocks:
        part = _unit(features[block], unit)
        with np.errstate(invalid='ignore'):
            total += part.sum(axis=0, dtype=np.float64)
        most = max(most, float(np.abs(part).max(initial=0)))
    _check_finite(bool(np.isfinite(total).all()))
    scale = _power_of_two(most)
    mean = (total / len(features) * scale).astype(np.float32)
    out = np.empty(features.shape, np.float32)
    for block in blocks:
        np.multiply(_unit(features[block], unit), scale, out=out[block], casting='same_kind')
        out[block] -= mean
    return out


def _centred_tensor(features: torch.Tensor, unit: bool) -> torch.Tensor:
    out = features.detach()
    _check_finite(bool(torch.isfinite(out).all()))
    if unit:
        _check_no_zero_row(bool((out == 0).all(dim=1).any()))
        out = torch.nn.functional.normalize(out.double(), dim=1)
    out = (out * _power_of_two(float(out.abs().max()))).float()
    return out - out.mean(dim=0, dtype=torch.float64).float()


def _power_of_two(most: float) -> float:
    return float(0.5 ** np.ceil(np.log2(most))) if most > 0 else 1.0


def _unit(rows: np.ndarray, unit: bool) -> np.ndarray:
    if not unit:
        return rows
    rows = rows.astype(np.float64)
    rows /= np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    norms = np.sqrt(np.einsum('ij,ij->i', rows, rows))
    _check_no_zero_row(bool((norms == 0).any()))
    return rows / norms[:, None]


def _squared_norms(data: Any) -> np.ndarray:
    if isinstance(data, torch.Tensor):
        return _numpy(data.double().square().sum(dim=1).float())
    blocks = (data[i : i + _ROWS].astype(np.float64) for i in range(0, len(data), _ROWS))
    return np.concatenate([np.einsum('ij,ij->i', b, b) for b in blocks]).astype(np.float32)


def _numpy(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        return values.detach().cpu().numpy()
    return np.asarray(values)


def _check_finite(finite: bool) -> None:
    if not finite:
        raise ValueError('Expected finite `features`, but got NaN or infinity')


def _check_no_zero_row(zero: bool) -> None:
    if zero:
        raise ValueError("Expected no row of zeros with metric 'cosine', but got one")
