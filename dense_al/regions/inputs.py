"""What is divided into regions: the image or the scan of one sample, cheap to send to a process."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dense_al.regions.base import Division, Regions
from dense_al.regions.images import ImageError, read_image
from dense_al.regions.scan_base import ScanRegions


class Scans(Protocol):
    """Where points come from, such as a `dense_al.datasets.scans.ScanSource`."""

    @property
    def records(self) -> Sequence[Any]:
        """One per sample of the manifest, with the scan's `name` and `pose`.

        A pose is (4, 4) float64, from the sensor to the world of the sequence.
        """
        ...

    @property
    def format(self) -> Any:
        """What reads a scan: `load_scan(record).points`, (N, 3) float32 metres, of the sensor."""
        ...


@dataclass(frozen=True)
class ImageInput:
    """An image.

    Attributes:
        name: Its unique name.
        path: Its file.
        size: Height and width in pixels.
    """

    name: str
    path: str
    size: tuple[int, int]

    def file_name(self, regions: Division) -> Path:
        """Where its map is kept, by name and size."""
        return _file_name(self.name.encode(), f'{self.size[0]}x{self.size[1]}')

    def divided(self, regions: Regions) -> np.ndarray:
        """(H, W) int32 region of each pixel.

        Raises:
            FileNotFoundError: There is no such image.
            ImageError: The image is damaged, or its size is not `size`.
        """
        image = read_image(self.path)
        if image.shape[:2] != self.size:
            raise ImageError(
                f'Expected `{self.path}` of height and width {self.size}, but got {image.shape[:2]}'
            )
        return regions.map(image)


@dataclass(frozen=True)
class ScanInput:
    """A scan.

    Attributes:
        record: Its record, see `Scans`.
        format: What reads it.
        count: Number of its points.
    """

    record: Any
    format: Any
    count: int

    def file_name(self, regions: Division) -> Path:
        """Where its map is kept, by name and number of points, and by pose where that matters."""
        identity = self.record.name.encode()
        if getattr(regions, 'needs_pose', False):
            identity += np.ascontiguousarray(self.record.pose, '<f8').tobytes()
        return _file_name(identity, str(self.count))

    def points(self) -> np.ndarray:
        """(N, 3) float32 x, y, z in metres, in the frame of the sensor; read anew.

        Raises:
            ValueError: The scan cannot be read, or has another number of points.
        """
        points = self.format.load_scan(self.record).points
        if len(points) != self.count:
            raise ValueError(
                f'Expected {self.count} points in `{self.record.name}`, but got {len(points)}'
            )
        return points

    def divided(self, regions: ScanRegions) -> np.ndarray:
        """(N, 1) int32 region of each point; errors as of `points`."""
        return regions.map(self.points(), self.record.pose)[:, None]


def _file_name(identity: bytes, size: str) -> Path:
    digest = hashlib.sha256(identity).hexdigest()[:24]
    return Path(digest[:2]) / f'{digest}-{size}.npz'
