"""The simulated annotator: reads the label files, with optional noise and declines."""

from typing import Any

import numpy as np

from dense_al.oracles.base import Asking, Oracle
from dense_al.pool import UnitPixels
from dense_al.registry import ORACLES
from dense_al.structures import IGNORE, WHOLE, Answer, Boxes, Label, Tags, tags_of


@ORACLES.register
class GroundTruth(Oracle):
    """Answers with the label of the data set.

    Args:
        noise: Probability in [0, 1] that a class within a unit, the class of an object, or a tag
            is mistaken for another one.
        decline: Probability in [0, 1] that a unit is declined (billed, not answered).
        prices: Price table, see `dense_al.pool.Prices`.
        ask_declined_again: Whether a declined unit may be asked again.
    """

    source = 'ground_truth'
    reads_labels = True

    def __init__(
        self,
        noise: float = 0.0,
        decline: float = 0.0,
        prices: dict[str, Any] | None = None,
        ask_declined_again: bool = False,
    ) -> None:
        super().__init__(prices, ask_declined_again)
        for name, value in (('noise', noise), ('decline', decline)):
            if not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise ValueError(f'Expected `{name}` in [0, 1], but got {value!r}')
        self.noise, self.decline = noise, decline

    def answer(self, asking: Asking) -> list[Answer]:
        query = asking.query
        # One draw per unit in the order of the query, whatever is read when.
        declined = asking.rng.random(len(query)) < self.decline
        seeds = asking.rng.integers(0, 2**63, len(query))
        labels: dict[int, Label | None] = {}
        for sample in np.unique(query.sample):
            label = asking.read_label(int(sample))
            label = tags_of(label) if query.kind == 'tags' else label
            pixels = None if query.kind in WHOLE else UnitPixels(asking.units.map(int(sample)))
            for i in np.flatnonzero(query.sample == sample):
                rng = np.random.default_rng(int(seeds[i]))
                values = self._noisy(_part(label, pixels, int(query.unit[i])), asking, rng)
                labels[int(i)] = None if declined[i] else values
        return self._answers(asking, labels)

    def _noisy(self, label: Label, asking: Asking, rng: np.random.Generator) -> Label:
        """The label with mistakes: of pixels whole classes, of boxes single objects."""
        n = len(asking.classes)
        if not self.noise:
            return label
        if isinstance(label, (Boxes, Tags)):
            wrong = rng.random(len(label)) < self.noise
            other = (label.labels + rng.integers(1, max(n, 2), len(label))) % n
            labels = np.where(wrong, other, label.labels)
            return Tags(labels) if isinstance(label, Tags) else Boxes(label.boxes, labels)
        return mistaken(label, self.noise, n, rng)


def _part(label: Label, pixels: UnitPixels | None, unit: int) -> Label:
    """What a sample's label says about one unit."""
    if isinstance(label, (Boxes, Tags)):
        return label
    flat = label.ravel()
    return flat if pixels is None else flat[pixels[unit]]


def mistaken(
    labels: np.ndarray, noise: float, n_classes: int, rng: np.random.Generator
) -> np.ndarray:
    """Labels in which each class present is mistaken for another one with probability `noise`.

    Args:
        labels: (P,) uint8 classes, 255 = none (stays).
        noise: Probability in [0, 1].
        n_classes: Number of classes, at least 2.
        rng: Source of randomness.

    Returns:
        (P,) uint8.
    """
    wrong = rng.random(n_classes) < noise
    shift = rng.integers(1, n_classes, n_classes)
    table = np.full(256, IGNORE, np.uint8)
    classes = np.arange(n_classes)
    table[:n_classes] = np.where(wrong, (classes + shift) % n_classes, classes)
    return table[labels]
