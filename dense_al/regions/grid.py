"""Regions that depend on the size of an image alone."""

from typing import Any

import numpy as np

from dense_al.regions.base import Regions, check_image, check_integer


class SizeRegions(Regions):
    """Regions that need no colours, so neither the image's file nor a cache on disk."""

    def map(self, image: np.ndarray) -> np.ndarray:
        """(H, W) int32 region of each pixel of an (H, W, 3) uint8 image."""
        return self.map_of_size(*check_image(image).shape[:2])

    def map_of_size(self, height: int, width: int) -> np.ndarray:
        """(height, width) int32 region of each pixel; sizes in pixels, at least 1."""
        raise NotImplementedError

    def sizes_of(self, height: int, width: int) -> np.ndarray:
        """(R,) int64 pixels of each region."""
        return np.bincount(self.map_of_size(height, width).ravel()).astype(np.int64)


class Grid(SizeRegions):
    """Square cells in raster order; the last ones of a row or column may be smaller.

    Args:
        size: Side of a cell in pixels.

    >>> Grid(size=2).map_of_size(3, 5)
    array([[0, 0, 1, 1, 2],
           [0, 0, 1, 1, 2],
           [3, 3, 4, 4, 5]], dtype=int32)
    """

    def __init__(self, *, size: int = 32) -> None:
        self.size = check_integer('size', size)

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {'size': self.size}

    def map_of_size(self, height: int, width: int) -> np.ndarray:
        """(height, width) int32 cell of each pixel."""
        columns = -(-check_integer('width', width) // self.size)
        rows = np.arange(check_integer('height', height), dtype=np.int32) // self.size
        return rows[:, None] * np.int32(columns) + np.arange(width, dtype=np.int32) // self.size

    def sizes_of(self, height: int, width: int) -> np.ndarray:
        """(R,) int64 pixels of each cell."""
        tall, wide = (
            np.minimum(np.arange(self.size, extent + self.size, self.size), extent)
            - np.arange(0, extent, self.size)
            for extent in (check_integer('height', height), check_integer('width', width))
        )
        return np.outer(tall, wide).ravel().astype(np.int64)


class Image(SizeRegions):
    """The whole image as its only region, number 0."""

    @property
    def parameters(self) -> dict[str, Any]:
        """None."""
        return {}

    def map_of_size(self, height: int, width: int) -> np.ndarray:
        """(height, width) int32 zeros."""
        return np.zeros((check_integer('height', height), check_integer('width', width)), np.int32)

    def sizes_of(self, height: int, width: int) -> np.ndarray:
        """(1,) int64, the pixels of the image."""
        return np.array([check_integer('height', height) * check_integer('width', width)], np.int64)
