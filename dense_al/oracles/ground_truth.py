"""The simulated annotator: reads the label files, with optional noise and declines."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dense_al.oracles.base import Asking, Oracle
from dense_al.oracles.objects import SimulatedObjects
from dense_al.pool import UnitPixels
from dense_al.registry import ORACLES
from dense_al.structures import (
    IGNORE,
    INSIDE,
    OUTSIDE,
    UNSURE,
    WHOLE,
    Answer,
    Boxes,
    Inside,
    Instances,
    Label,
    Mask,
    Tags,
    tags_of,
)

Part = Callable[[int, int, np.random.Generator], Label | None]


@ORACLES.register
class GroundTruth(Oracle):
    """Answers with the label of the data set.

    Args:
        noise: Probability in [0, 1] that a class within a unit, the class of an object, or a tag
            is mistaken for another one, or that a point is said to be on the other side.
        decline: Probability in [0, 1] that a unit is declined (billed, not answered).
        prices: Price table, see `dense_al.pool.Prices`.
        ask_declined_again: Whether a declined unit may be asked again.
        points: Points asked with each box in the place of a mask, see `Oracle`.
        unsure: Points of an object nearer than this to its outline, in pixels, are declined: nobody
            can say. 0: everything can be said.
        dominant: One class for each region or image, see `Oracle`.
    """

    source = 'ground_truth'
    reads_labels = True

    def __init__(
        self,
        noise: float = 0.0,
        decline: float = 0.0,
        prices: dict[str, Any] | None = None,
        ask_declined_again: bool = False,
        points: int | None = None,
        unsure: float = 0.0,
        dominant: bool = False,
    ) -> None:
        super().__init__(prices, ask_declined_again, points, dominant)
        if not isinstance(unsure, (int, float)) or not 0 <= unsure < np.inf:
            raise ValueError(f'Expected `unsure` to be a number of at least 0, but got {unsure!r}')
        self.unsure = unsure
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
        for sample, rows in query.by_sample.items():
            part = self._part_of(asking.read_label(sample), asking, sample)
            for i in rows.tolist():
                rng = np.random.default_rng(int(seeds[i]))
                values = self._said(part(int(query.instance[i]), int(query.unit[i]), rng))
                values = None if values is None else self._noisy(values, asking, rng)
                labels[i] = None if declined[i] else values
        answers = self._answers(asking, labels)
        return answers[: asking.enough(answers)]

    def _part_of(self, label: Label, asking: Asking, sample: int) -> Part:
        """(instance, unit, rng) -> what a sample's label says about one unit."""
        kind = asking.query.kind
        if kind == 'tags':
            return lambda instance, unit, rng: tags_of(label)
        if isinstance(label, Instances):
            objects = SimulatedObjects(label, asking.manifest.size(sample), self.unsure)
            if kind == 'image' and self.points is not None:
                return lambda instance, unit, rng: objects.with_points(self.points or 0, rng)
            if kind == 'instance':
                return lambda instance, unit, rng: objects.mask(instance)
            if kind == 'point':
                return lambda instance, unit, rng: objects.inside(instance, unit)
        if isinstance(label, Boxes):
            return lambda instance, unit, rng: label
        flat = label.ravel()  # type: ignore[union-attr]
        if kind in WHOLE:
            return lambda instance, unit, rng: flat
        if kind == 'point':
            # Nobody can say the class of a pixel that has none.
            return lambda instance, unit, rng: (
                None if flat[unit] == IGNORE else flat[unit : unit + 1]
            )
        pixels = UnitPixels(asking.units.map(sample))
        return lambda instance, unit, rng: flat[pixels[unit]]

    def _noisy(self, label: Label, asking: Asking, rng: np.random.Generator) -> Label:
        """The label with mistakes: of pixels whole classes, of boxes single objects."""
        n = len(asking.classes)
        if not self.noise:
            return label
        if isinstance(label, Inside):
            return Inside(label.value != (rng.random() < self.noise))
        if isinstance(label, Mask):
            return label
        if isinstance(label, (Boxes, Tags)):
            wrong = rng.random(len(label)) < self.noise
            other = (label.labels + rng.integers(1, max(n, 2), len(label))) % n
            labels = np.where(wrong, other, label.labels)
            if isinstance(label, Instances):
                label = _other_sides(label, self.noise, rng)
            return Tags(labels) if isinstance(label, Tags) else replace(label, labels=labels)
        return mistaken(label, self.noise, n, rng)


def _other_sides(label: Instances, noise: float, rng: np.random.Generator) -> Instances:
    """Objects some of whose points are said to be on the other side."""
    said = label.point_labels
    wrong = (rng.random(said.shape) < noise) & (said != UNSURE)
    return replace(label, point_labels=np.where(wrong, INSIDE + OUTSIDE - said, said))


def mistaken(
    labels: np.ndarray, noise: float, n_classes: int, rng: np.random.Generator
) -> np.ndarray:
    """Labels in which each class present is mistaken for another one with probability `noise`.

    Args:
        labels: (P,) uint8 classes, 255 = none (stays).
        noise: Probability in [0, 1].
        n_classes: Number of classes; a single one is never mistaken.
        rng: Source of randomness.

    Returns:
        (P,) uint8.
    """
    wrong = rng.random(n_classes) < noise
    shift = rng.integers(1, max(n_classes, 2), n_classes)
    table = np.full(256, IGNORE, np.uint8)
    classes = np.arange(n_classes)
    table[:n_classes] = np.where(wrong, (classes + shift) % n_classes, classes)
    return table[labels]
