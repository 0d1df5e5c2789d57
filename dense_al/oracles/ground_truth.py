"""The simulated annotator: reads the label files, with optional noise and declines."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dense_al.oracles.base import Asking, Oracle
from dense_al.oracles.objects import SimulatedObjects
from dense_al.pool import UnitPixels
from dense_al.registry import ORACLES
from dense_al.structures import WHOLE, Answer, Instances, Label, Pixels, Tags

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
        # One draw per unit in the order of the query, whatever is read when; of a place that
        # several samples show the first one counts, since it is asked once.
        declined = asking.rng.random(len(query)) < self.decline
        seeds = asking.rng.integers(0, 2**63, len(query))
        if asking.place is not None:
            declined, seeds = declined[asking.place], seeds[asking.place]
        labels: dict[int, Label | None] = {}
        for sample, rows in query.by_sample.items():
            part = self._part_of(asking.read_label(sample), asking, sample)
            for i in rows.tolist():
                rng = np.random.default_rng(int(seeds[i]))
                said = part(int(query.instance[i]), int(query.unit[i]), rng)
                # What shows no class in this scan is part of a place that may show one in another.
                if asking.place is None or self.dominant:
                    said = self._said(said)
                if said is not None and self.noise:
                    said = said.mistaken(self.noise, len(asking.classes), rng)
                labels[i] = None if declined[i] else said
        answers = self._answers(asking, labels)
        return answers[: asking.enough(answers)]

    def _part_of(self, label: Label, asking: Asking, sample: int) -> Part:
        """(instance, unit, rng) -> what a sample's label says about one unit."""
        kind = asking.query.kind
        if kind == 'tags':
            return lambda instance, unit, rng: Tags(label.classes())
        if isinstance(label, Pixels):
            return _part_of_pixels(label, asking, sample)
        if isinstance(label, Instances):
            objects = SimulatedObjects(label, asking.manifest.size(sample), self.unsure)
            if kind == 'instance':
                return lambda instance, unit, rng: objects.mask(instance)
            if kind == 'point':
                return lambda instance, unit, rng: objects.inside(instance, unit)
            if self.points is not None:
                return lambda instance, unit, rng: objects.with_points(self.points or 0, rng)
        return lambda instance, unit, rng: label


def _part_of_pixels(label: Pixels, asking: Asking, sample: int) -> Part:
    """(instance, unit, rng) -> the pixels of one unit."""
    flat = label.labels
    if asking.query.kind in WHOLE:
        return lambda instance, unit, rng: label
    if asking.query.kind == 'point':
        return lambda instance, unit, rng: Pixels(flat[unit : unit + 1])
    pixels = UnitPixels(asking.units.map(sample))
    return lambda instance, unit, rng: Pixels(flat[pixels[unit]])
