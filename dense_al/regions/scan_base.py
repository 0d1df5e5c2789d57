"""What every way of dividing a LiDAR scan into regions has in common."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from dense_al.regions.base import Division


class ScanRegions(Division):
    """Divides the points of a scan into regions: ids 0 to R-1, every point in exactly one.

    R differs between scans and is at least 1.
    """

    needs_pose: ClassVar[bool] = False
    """Whether the division depends on where the scan was taken."""

    @abstractmethod
    def map(self, points: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """The region of each point. The same input gives the same ids on every call.

        Args:
            points: (N, 3) float32 x, y, z in metres, in the frame of the sensor.
            pose: (4, 4) float64, takes points to the world of the scan's sequence.

        Returns:
            (N,) int32, ids 0 to R-1, each of them present.

        Raises:
            ValueError: No points, other shapes or dtypes, or values that are not finite.
        """


def check_points(points: np.ndarray) -> np.ndarray:
    """`points` if they are (N, 3) float32, finite and at least one, else a `ValueError`."""
    array = np.asarray(points)
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype != np.float32 or not len(array):
        raise ValueError(
            f'Expected `points` of shape (N, 3) and dtype float32, '
            f'but got {array.shape} and {array.dtype}'
        )
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        first = int(finite.argmin())
        raise ValueError(
            f'Expected finite `points`, but got {array[first].tolist()} in row {first}'
        )
    return array


def check_pose(pose: np.ndarray) -> np.ndarray:
    """`pose` if it is (4, 4) float64 and finite, else a `ValueError`."""
    array = np.asarray(pose)
    if array.shape != (4, 4) or array.dtype != np.float64 or not np.isfinite(array).all():
        raise ValueError(
            f'Expected `pose` of shape (4, 4) and dtype float64, finite, '
            f'but got {array.tolist()} and {array.dtype}'
        )
    return array


def world_of(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Points in the world of their sequence.

    Args:
        points: (N, 3) in metres, in the frame of the sensor.
        pose: (4, 4) from the sensor to the world.

    Returns:
        (N, 3) float64 in metres.

    >>> shift = np.eye(4)
    >>> shift[:3, 3] = [10, 0, 1]
    >>> world_of(np.array([[1.0, 2.0, 3.0]]), shift)
    array([[11.,  2.,  4.]])
    """
    return points.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]


def ranked_cells(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Different cells in lexicographic order, and which one each row is.

    Args:
        cells: (N, k) whole numbers, integers or float64; k is at most 3.

    Returns:
        (R, k) int64 cells and (N,) int64 rows of them.

    Raises:
        ValueError: Cells more than a million apart along one axis.

    >>> cells, rows = ranked_cells(np.array([[5, 0], [-1, 2], [5, 0]]))
    >>> cells.tolist(), rows.tolist()
    ([[-1, 2], [5, 0]], [1, 0, 1])
    """
    low = cells.min(axis=0)
    spans = cells.max(axis=0) - low + 1
    if spans.max() >= 1 << 20:
        raise ValueError(
            f'Expected points within {1 << 20} cells of each other, but got {spans.max():.4g}; '
            'is a point far off, or the size of the cells in another unit?'
        )
    shifted, spans = (cells - low).astype(np.int64), spans.astype(np.int64)
    packed = shifted[:, 0]
    for axis in range(1, cells.shape[1]):
        packed = packed * spans[axis] + shifted[:, axis]
    found, rows = np.unique(packed, return_inverse=True)
    unpacked = np.empty((len(found), cells.shape[1]), np.int64)
    for axis in range(cells.shape[1] - 1, 0, -1):
        found, unpacked[:, axis] = np.divmod(found, spans[axis])
    unpacked[:, 0] = found
    return unpacked + low.astype(np.int64), rows
