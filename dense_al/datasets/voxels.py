"""Scans as voxels: what a sparse network reads, and the way back to the points."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from dense_al.groups import region_mean
from dense_al.structures import IGNORE

# With a random shift of up to this many voxels, halving the grid four times falls differently too.
COARSEST = 16
MOST_CELLS = 2**62


@dataclass(frozen=True)
class Voxels:
    """The occupied voxels of a scan of N points.

    Attributes:
        coords: (M, 3) int32 x, y, z in voxels, >= 0, each once, sorted.
        feats: (M, F) float32, means over the points of a voxel.
        inverse: (N,) int64 voxel of each point.
        labels: (M,) uint8 most frequent label of the points, `IGNORE` where none has any; or None.
    """

    coords: np.ndarray
    feats: np.ndarray
    inverse: np.ndarray
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.coords)


def voxelize(
    points: np.ndarray,
    size: float = 0.05,
    *,
    labels: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
) -> Voxels:
    """Voxels of a scan; the same for the same points in any order, up to rounding of the means.

    Args:
        points: (N, 3 + E) float: x, y, z in metres, then what else is known, such as remission.
            All columns are features, metres included.
        size: Edge of a voxel in metres, > 0.
        labels: (N,) integers, 0 to 254, or `IGNORE`; ties go to the lowest class.
        rng: Where it is given the grid lies at random; without it voxel 0 begins at the least
            multiple of `size` at or below all points.

    Returns:
        The voxels; none for no points.

    Raises:
        ValueError: Shapes, labels or sizes that do not fit, points that are not finite, or points
            so far apart that their voxels cannot be numbered.

    References:
        Hu et al., LiDAL, ECCV 2022: 0.05 m. It takes the first point of a voxel for all; the mean
        and the majority here are not of that release.

    >>> points = np.array([[0.1, 0, 0], [0.3, 0, 0], [-0.2, 0, 0]], np.float32)
    >>> voxels = voxelize(points, 0.5, labels=np.array([255, 7, 3]))
    >>> voxels.coords.tolist(), voxels.inverse.tolist(), voxels.labels.tolist()
    ([[0, 0, 0], [1, 0, 0]], [1, 1, 0], [3, 7])
    """
    points = np.asarray(points)
    _check(points, size, labels)
    if not len(points):
        return _no_voxels(points.shape[1], labels is not None)
    cells = _cells(points[:, :3], size, rng)
    numbers = (cells[:, 0] * (cells[:, 1].max() + 1) + cells[:, 1]) * (cells[:, 2].max() + 1)
    numbers += cells[:, 2]
    order = np.argsort(numbers, kind='stable')
    ranked = numbers[order]
    first = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    inverse = np.empty(len(points), np.int64)
    inverse[order] = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(points)]))
    return Voxels(
        coords=cells[order[first]].astype(np.int32),
        feats=region_mean(points, inverse, len(first)).astype(np.float32),
        inverse=inverse,
        labels=None if labels is None else majority(labels, inverse, len(first)),
    )


def majority(labels: np.ndarray, groups: np.ndarray, n_groups: int) -> np.ndarray:
    """The most frequent label of each group, ties to the lowest; `IGNORE` is not counted.

    Args:
        labels: (N,) integers, 0 to 254, or `IGNORE`.
        groups: (N,) integers, 0 to n_groups - 1.
        n_groups: How many groups.

    Returns:
        (n_groups,) uint8; `IGNORE` for a group without a label.

    >>> majority(np.array([2, 1, 255, 255]), np.array([0, 0, 0, 1]), 3).tolist()
    [1, 255, 255]
    """
    known = np.asarray(labels) != IGNORE
    votes = np.asarray(groups)[known].astype(np.int64) * IGNORE + np.asarray(labels)[known]
    votes, counts = np.unique(votes, return_counts=True)
    result = np.full(n_groups, IGNORE, np.uint8)
    if len(votes):
        voters, candidates = np.divmod(votes, IGNORE)
        first = np.flatnonzero(np.r_[True, voters[1:] != voters[:-1]])
        # The most votes win; of equal ones the lowest class.
        best = np.maximum.reduceat(counts * IGNORE + (IGNORE - 1 - candidates), first)
        result[voters[first]] = IGNORE - 1 - best % IGNORE
    return result


def augment(
    points: np.ndarray,
    rng: np.random.Generator,
    *,
    jitter: float = 0.1,
    flip: float = 0.5,
    rotate: bool = True,
    scale: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """A scan seen through a random linear map, for training or several passes.

    Args:
        points: (N, 3 + E) float: x, y, z in metres, then what stays as it is.
        rng: Source of the map.
        jitter: Standard deviation of what is added to each entry of the 3 x 3 identity, >= 0.
        flip: Probability of mirroring x, in [0, 1].
        rotate: Whether to turn about z, by any angle.
        scale: Least and largest factor of all lengths, > 0.

    Returns:
        (N, 3 + E) in the dtype of `points`, which is left as it is.

    Raises:
        ValueError: A parameter out of its range.

    References:
        Hu et al., LiDAL, ECCV 2022: the defaults. That release augments validation as well.

    >>> augment(np.array([[1.0, 2, 3, 9]]), np.random.default_rng(0), jitter=0, flip=1,
    ...         rotate=False).tolist()
    [[-1.0, 2.0, 3.0, 9.0]]
    """
    if jitter < 0 or not 0 <= flip <= 1 or not 0 < scale[0] <= scale[1]:
        raise ValueError(
            'Expected `jitter` of at least 0, `flip` in [0, 1] and an ascending `scale` above 0, '
            f'but got {jitter}, {flip} and {scale}'
        )
    matrix = np.eye(3) + jitter * rng.standard_normal((3, 3))
    mirrored, angle = rng.random() < flip, rng.uniform(0, 2 * np.pi)
    factor = rng.uniform(*scale)
    if mirrored:
        matrix[:, 0] *= -1
    if rotate:
        cos, sin = np.cos(angle), np.sin(angle)
        matrix = matrix @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    result = np.array(points)
    result[:, :3] = points[:, :3] @ (factor * matrix)
    return result


@dataclass(frozen=True)
class Augment:
    """`augment` as a step between reading a scan and `Voxelize`; leave it out where not training.

    Args:
        jitter: See `augment`, as all that follows.
        flip: Probability of mirroring x.
        rotate: Whether to turn about z.
        scale: Least and largest factor of all lengths.
    """

    jitter: float = 0.1
    flip: float = 0.5
    rotate: bool = True
    scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.jitter < np.inf or not 0 <= self.flip <= 1:
            raise ValueError(
                f'Expected `jitter` of at least 0 and `flip` in [0, 1], but got {self.jitter!r} '
                f'and {self.flip!r}'
            )
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f'Expected `scale` of rising factors, but got {self.scale!r}')

    def __call__(
        self, scan: Mapping[str, Any], rng: np.random.Generator | None = None
    ) -> dict[str, Any]:
        """The scan with other `points`; without a generator an error."""
        if rng is None:
            raise ValueError('Expected a generator to augment with, but got none')
        return {**scan, 'points': augment(scan['points'], rng, **vars(self))}


def near_labels(points: np.ndarray, labels: np.ndarray, margin: float) -> np.ndarray:
    """Which points lie at a labelled point or near one, seen from above.

    Args:
        points: (N, 2 or more) float: x, y in metres first.
        labels: (N,) integers, `IGNORE` where unlabelled.
        margin: Metres, >= 0.

    Returns:
        (N,) bool; all of them where no point has a label.

    >>> points = np.array([[0.0, 0, 0], [3, 0, 9], [5, 0, 0]])
    >>> near_labels(points, np.array([2, 255, 255]), 4).tolist()
    [True, True, False]
    """
    known = np.asarray(labels) != IGNORE
    if known.all() or not known.any():
        return np.ones(len(points), bool)
    ground = points[:, :2].astype(np.float64)
    distance, _ = cKDTree(ground[known]).query(ground[~known], distance_upper_bound=margin)
    near = known.copy()
    near[~known] = np.isfinite(distance)
    return near


@dataclass(frozen=True)
class NearLabels:
    """Leaves out what lies far from all labels, so that training spends no time on it.

    Where a few regions of a scan are answered most of its points teach nothing and only give
    context. A scan that is labelled all over, or not at all, stays as it is. No published system
    does so.

    Args:
        margin: Metres of context around labelled points, seen from above, >= 0.
    """

    margin: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.margin < np.inf:
            raise ValueError(f'Expected `margin` >= 0, but got {self.margin!r}')

    def __call__(
        self, scan: Mapping[str, Any], rng: np.random.Generator | None = None
    ) -> dict[str, Any]:
        """The scan with fewer `points` and `labels`."""
        if scan.get('labels') is None:
            return dict(scan)
        near = near_labels(scan['points'], scan['labels'], self.margin)
        return {**scan, 'points': scan['points'][near], 'labels': scan['labels'][near]}


@dataclass(frozen=True)
class Voxelize:
    """`voxelize` as the last step before a batch is made.

    Args:
        size: Edge of a voxel in metres.
    """

    size: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.size < np.inf:
            raise ValueError(f'Expected `size` to be above 0 metres, but got {self.size!r}')

    def __call__(
        self, scan: Mapping[str, Any], rng: np.random.Generator | None = None
    ) -> dict[str, Any]:
        """Takes `points` (N, 3 + E), and `labels` (N,) if present.

        Returns:
            What else the scan had, and `coords`, `feats`, `inverse`, `labels` of `Voxels`,
            as `ScanPreprocessor` takes them.
        """
        voxels = voxelize(scan['points'], self.size, labels=scan.get('labels'), rng=rng)
        rest = {key: value for key, value in scan.items() if key != 'points'}
        return {**rest, **vars(voxels)}


def _cells(xyz: np.ndarray, size: float, rng: np.random.Generator | None) -> np.ndarray:
    """(N, 3) int64 voxel of each point, >= 0."""
    scaled = xyz.astype(np.float64) / size
    if not np.isfinite(scaled).all():
        raise ValueError('Expected finite points, but got NaN or infinity among them')
    scaled -= np.floor(scaled.min(axis=0))
    if rng is not None:
        scaled += rng.uniform(0, COARSEST, 3)
    if float(np.prod(scaled.max(axis=0) + 1)) >= MOST_CELLS:
        raise ValueError(
            f'Expected points in a box of less than {MOST_CELLS} voxels of {size} m, but got an '
            f'extent of {np.ptp(xyz, axis=0).tolist()} m'
        )
    return np.floor(scaled).astype(np.int64)


def _no_voxels(n_features: int, labelled: bool) -> Voxels:
    return Voxels(
        np.zeros((0, 3), np.int32),
        np.zeros((0, n_features), np.float32),
        np.zeros(0, np.int64),
        np.zeros(0, np.uint8) if labelled else None,
    )


def _check(points: np.ndarray, size: float, labels: np.ndarray | None) -> None:
    if points.ndim != 2 or points.shape[1] < 3:
        raise ValueError(f'Expected `points` (N, 3 or more), but got {points.shape}')
    if not size > 0:
        raise ValueError(f'Expected `size` above 0, but got {size}')
    if labels is not None and np.shape(labels) != (len(points),):
        raise ValueError(
            f'Expected `labels` of {len(points)} points, but got the shape {np.shape(labels)}'
        )
    if labels is not None and len(points):
        least, most = int(np.min(labels)), int(np.max(labels))
        if least < 0 or most > IGNORE:
            raise ValueError(f'Expected labels in [0, {IGNORE}], but got {least} to {most}')
