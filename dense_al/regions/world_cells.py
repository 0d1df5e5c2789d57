"""Regions of scans that are fixed to places in the world."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from dense_al.regions.base import check_number
from dense_al.regions.scan_base import (
    ScanRegions,
    check_points,
    check_pose,
    ranked_cells,
    world_of,
)


class WorldCells(ScanRegions):
    """Cells of a grid in the world of the sequence: a place has the same cell in all frames.

    Ids are the ranks of a scan's cells in lexicographic order, so they differ between frames;
    `cells` tells which cell an id stands for.

    Args:
        size: Extent of a cell along the world's x and y, in metres.
        height: Its extent along z, in metres; None for columns that never end.

    Raises:
        ValueError: An argument out of range.

    >>> points = np.array([[5, 1, 0], [-1, 1, 9], [6, 3, 1]], np.float32)
    >>> WorldCells(size=(4.0, 4.0)).map(points, np.eye(4))
    array([1, 0, 1], dtype=int32)
    >>> WorldCells(size=(4.0, 4.0)).cells(points, np.eye(4)).tolist()
    [[-1, 0], [1, 0]]
    """

    needs_pose: ClassVar[bool] = True

    def __init__(self, *, size: Sequence[float] = (4.0, 4.0), height: float | None = None) -> None:
        if isinstance(size, (str, int, float)) or len(size) != 2:
            raise ValueError(f'Expected `size` to be two numbers, but got {size!r}')
        self.size = tuple(check_number('size', side, positive=True) for side in size)
        self.height = None if height is None else check_number('height', height, positive=True)

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {'size': list(self.size), 'height': self.height}

    def map(self, points: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """(N,) int32 cell of each point, by rank."""
        return ranked_cells(self._of_points(points, pose))[1].astype(np.int32)

    def cells(self, points: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """The cell that each id of `map` stands for.

        Args:
            points: (N, 3) float32 in metres, in the frame of the sensor.
            pose: (4, 4) float64, takes points to the world of the scan's sequence.

        Returns:
            (R, 2) int64, world x and y in whole cells, rounded down; (R, 3) with a height.
        """
        return ranked_cells(self._of_points(points, pose))[0]

    def _of_points(self, points: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """(N, k) float64 cell of each point, whole numbers."""
        sides = [*self.size] if self.height is None else [*self.size, self.height]
        world = world_of(check_points(points), check_pose(pose))
        return np.floor(world[:, : len(sides)] / sides)
