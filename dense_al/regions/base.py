"""What every way of dividing an image into regions has in common."""

import hashlib
import json
from abc import ABC, abstractmethod
from typing import Any

import numpy as np


class Division(ABC):
    """A way of dividing something, told by its parameters."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments, plain values."""

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the libraries that the outcome depends on."""
        return {}

    @property
    def key(self) -> str:
        """Hash of the class, its parameters and its libraries; 16 hexadecimal digits."""
        what = [type(self).__name__, self.parameters, self.versions]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        arguments = ', '.join(f'{name}={value!r}' for name, value in self.parameters.items())
        return f'{type(self).__name__}({arguments})'


class Regions(Division):
    """Divides an image into regions: ids 0 to R-1, every pixel in exactly one.

    R differs between images and is at least 1.
    """

    @abstractmethod
    def map(self, image: np.ndarray) -> np.ndarray:
        """The region of each pixel.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (H, W) int32, ids 0 to R-1, each of them present.

        Raises:
            ValueError: The image has another shape or dtype.
        """


def check_image(image: np.ndarray) -> np.ndarray:
    """`image` if it is (H, W, 3) uint8 with at least one pixel, else a `ValueError`."""
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        raise ValueError(
            f'Expected `image` of shape (H, W, 3) and dtype uint8, '
            f'but got {array.shape} and {array.dtype}'
        )
    return array


def check_integer(name: str, value: Any, low: int = 1) -> int:
    """`value` if it is an integer >= `low`, else a `ValueError`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < low:
        kind = 'a positive integer' if low == 1 else f'an integer >= {low}'
        raise ValueError(f'Expected `{name}` to be {kind}, but got {value!r}')
    return int(value)


def check_number(name: str, value: Any, *, positive: bool) -> float:
    """`value` if it is a finite number > 0 (or >= 0), else a `ValueError`."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not np.isfinite(value) or value < 0 or (positive and value == 0):
        kind = 'a positive number' if positive else 'a number >= 0'
        raise ValueError(f'Expected `{name}` to be {kind}, but got {value!r}')
    return float(value)


def relabelled(labels: np.ndarray) -> np.ndarray:
    """Labels with the gaps closed, their order kept.

    Args:
        labels: (H, W) integers >= 0.

    Returns:
        (H, W) int32, ids 0 to R-1, each of them present.

    >>> relabelled(np.array([[4, 4], [1, 9]]))
    array([[1, 1],
           [0, 2]], dtype=int32)
    """
    present = np.bincount(labels.ravel()) > 0
    return (np.cumsum(present, dtype=np.int32) - 1)[labels].astype(np.int32, copy=False)
