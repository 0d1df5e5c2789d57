"""Tags of one image, the classes somewhere in it, and their payload."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dense_al.structures.label import Label, counts_of, other_classes


@dataclass(frozen=True, eq=False)
class Tags(Label):
    """The classes present in one image; every other class is absent.

    Attributes:
        labels: (T,) int64 classes, ascending, each once.

    Raises:
        ValueError: A class below 0.
    """

    mark, what, counted = b'T', 'tags', True

    labels: np.ndarray

    def __post_init__(self) -> None:
        labels = np.unique(np.asarray(self.labels, np.int64))
        if len(labels) and labels[0] < 0:
            raise ValueError(f'Expected classes from 0, but got {labels.tolist()}')
        object.__setattr__(self, 'labels', labels)

    def __len__(self) -> int:
        return len(self.labels)

    def encode(self) -> bytes:
        """The mark, then little-endian int32 classes.

        >>> Tags.decode(Tags([7, 2, 7]).encode()).labels.tolist()
        [2, 7]
        """
        return self.mark + self.labels.astype('<i4').tobytes()

    @classmethod
    def _decoded(cls, payload: bytes) -> Self:
        return cls(np.frombuffer(payload[1:], '<i4'))

    @property
    def drawn(self) -> int:
        return len(self)

    def elements(self, size: int) -> int:
        """None: tags do not say where."""
        return 0

    def class_counts(self, n_classes: int) -> np.ndarray:
        return counts_of(self.labels, n_classes)

    def classes(self) -> np.ndarray:
        return self.labels

    def mistaken(self, noise: float, n_classes: int, rng: np.random.Generator) -> 'Tags':
        """Each tag may be another one."""
        return Tags(other_classes(self.labels, noise, n_classes, rng))
