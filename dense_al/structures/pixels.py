"""Classes of the pixels or points of a unit, and their payload."""

import zlib
from dataclasses import dataclass
from typing import Self

import numpy as np

from dense_al.structures.label import Label, counts_of

IGNORE = 255


@dataclass(frozen=True, eq=False)
class Pixels(Label):
    """The class of each pixel or point of a unit.

    Attributes:
        labels: (P,) uint8 in raster order of the unit, 255 = cannot say; given as (P,) or (H, W).

    Raises:
        ValueError: Another dtype.
    """

    mark = zlib.compress(b'')[:1]  # payloads are compressed as they are
    what = 'pixels'

    labels: np.ndarray

    def __post_init__(self) -> None:
        labels = np.asarray(self.labels)
        if labels.dtype != np.uint8 or labels.ndim > 2:
            raise ValueError(
                f'Expected uint8 labels of shape (P,) or (H, W), but got {labels.dtype} '
                f'{labels.shape}'
            )
        object.__setattr__(self, 'labels', np.ascontiguousarray(labels.ravel()))

    def __len__(self) -> int:
        return len(self.labels)

    def encode(self) -> bytes:
        """The labels, compressed.

        >>> Pixels.decode(Pixels(np.array([3, 255], np.uint8)).encode()).labels.tolist()
        [3, 255]
        """
        return zlib.compress(self.labels.tobytes(), 6)

    @classmethod
    def _decoded(cls, payload: bytes) -> Self:
        return cls(np.frombuffer(zlib.decompress(payload), np.uint8))

    @property
    def category(self) -> int:
        counts = self.class_counts(1)
        return int(counts.argmax()) if counts.sum() else -1

    def class_counts(self, n_classes: int) -> np.ndarray:
        """(C,) int64 pixels of each class."""
        return counts_of(self.labels[self.labels != IGNORE], n_classes)

    def classes(self) -> np.ndarray:
        return np.flatnonzero(self.class_counts(1))

    def dominant(self) -> 'Pixels | None':
        """The most frequent class for every pixel; None where all are 255."""
        if (category := self.category) < 0:
            return None
        return Pixels(np.full(len(self), category, np.uint8))

    def mistaken(self, noise: float, n_classes: int, rng: np.random.Generator) -> 'Pixels':
        """Each class that is present is mistaken for another one; 255 stays."""
        wrong = rng.random(n_classes) < noise
        shift = rng.integers(1, max(n_classes, 2), n_classes)
        table = np.full(256, IGNORE, np.uint8)
        classes = np.arange(n_classes)
        table[:n_classes] = np.where(wrong, (classes + shift) % n_classes, classes)
        return Pixels(table[self.labels])
