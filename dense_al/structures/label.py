"""What an answer says of a unit, whatever its form."""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np


class Label(ABC):
    """What is said of one unit: the base of all forms a label can have.

    Attributes:
        mark: First byte of the payloads of this form; it tells them from all others.
        what: What a payload holds, in words.
        counted: Whether what is drawn in it is billed, so that its price is known only then.
        of_object: Whether it is about one object, so that their number is known only when drawn.
    """

    mark: ClassVar[bytes]
    what: ClassVar[str]
    counted: ClassVar[bool] = False
    of_object: ClassVar[bool] = False

    @abstractmethod
    def encode(self) -> bytes:
        """The payload: the mark, then the content."""

    @classmethod
    @abstractmethod
    def _decoded(cls, payload: bytes) -> Self:
        """The label of a payload of this form."""

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Unpacks what `encode` packed.

        Raises:
            ValueError: A payload of another form, or of a declined unit.
        """
        if not cls.is_in(payload):
            raise ValueError(f'Expected a payload of {cls.what}, but got another one')
        return cls._decoded(payload)

    @classmethod
    def is_in(cls, payload: bytes) -> bool:
        """Whether a payload has this form; that of a declined unit has none."""
        return payload[:1] == cls.mark

    @property
    def category(self) -> int:
        """The most frequent class, lowest on ties; -1 for none, and where no class is counted."""
        return -1

    @property
    def drawn(self) -> int:
        """Objects that were drawn, or classes that were named."""
        return 0

    @property
    def n_points(self) -> int:
        """Points that were asked together with objects."""
        return 0

    def elements(self, size: int) -> int:
        """How many of the unit's `size` pixels or points it labels."""
        return size

    def class_counts(self, n_classes: int) -> np.ndarray:
        """(C,) int64: pixels, objects or tags of each class."""
        return np.zeros(n_classes, np.int64)

    def classes(self) -> np.ndarray:
        """(T,) int64 classes in the label of a whole sample, ascending.

        Raises:
            ValueError: A label of one object.
        """
        raise ValueError('Expected the label of a whole sample, but got that of one object')

    def dominant(self) -> 'Label | None':
        """The label if one class is given to all of its pixels; None where there is no class."""
        return self

    def mistaken(self, noise: float, n_classes: int, rng: np.random.Generator) -> 'Label':
        """The label with mistakes.

        Args:
            noise: Probability in [0, 1] of each mistake.
            n_classes: Number of classes; a single one is never mistaken.
            rng: Source of randomness.
        """
        return self


def counts_of(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """(C,) int64 how often each class is among (N,) labels."""
    return np.bincount(labels, minlength=n_classes)


def other_classes(
    labels: np.ndarray, noise: float, n_classes: int, rng: np.random.Generator
) -> np.ndarray:
    """(N,) int64 labels each of which is another class with probability `noise`."""
    wrong = rng.random(len(labels)) < noise
    other = (labels + rng.integers(1, max(n_classes, 2), len(labels))) % n_classes
    return np.where(wrong, other, labels)
