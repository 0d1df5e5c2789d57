"""The door to masks: objects with the points and masks that were answered, from answers alone."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from dense_al.pool.boxes import BoxStore
from dense_al.structures import (
    INSIDE,
    OUTSIDE,
    Answer,
    Inside,
    Instances,
    Mask,
)


class InstanceStore(BoxStore):
    """Objects of the samples whose boxes were answered, with all that is known of their masks.

    Args:
        answers: In the order they were given; a later one replaces an earlier one.
        widths: (S,) int64 width of each sample's image in pixels.
        asked: Points that were asked, declined ones too.
    """

    def __init__(
        self, answers: Sequence[Answer], widths: np.ndarray, asked: Sequence[Answer] = ()
    ) -> None:
        super().__init__(answers)
        self._widths = widths
        self._inside: dict[int, list[Answer]] = defaultdict(list)
        self._masks: dict[int, list[Answer]] = defaultdict(list)
        self._asked: dict[int, list[Answer]] = defaultdict(list)
        for answer in answers:
            if Inside.is_in(answer.payload):
                self._inside[answer.sample].append(answer)
            elif Mask.is_in(answer.payload):
                self._masks[answer.sample].append(answer)
        for answer in asked:
            self._asked[answer.sample].append(answer)

    def points(self, sample: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each object (n, 2) int64 x, y of its answered points and (n,) int64 labels, 1 or 0.

        Points that nobody could tell are left out. Points drawn with the boxes come first.

        Raises:
            ValueError: An answer about an object that is not there.
        """
        objects = self.boxes(sample)
        found: list[list[tuple[int, int, int]]] = [[] for _ in range(len(objects))]
        if isinstance(objects, Instances):
            for row, (where, labels) in enumerate(zip(objects.points, objects.point_labels)):
                found[row] = [(x, y, v) for (x, y), v in zip(where, labels) if v in (0, 1)]
        for answer in self._inside[sample]:
            self._check(answer, len(objects))
            y, x = divmod(answer.unit, int(self._widths[sample]))
            label = INSIDE if Inside.decode(answer.payload).value else OUTSIDE
            found[answer.instance].append((x, y, label))
        rows = [np.array(points, np.int64).reshape(-1, 3) for points in found]
        return [(row[:, :2], row[:, 2]) for row in rows]

    def asked(self, sample: int) -> tuple[np.ndarray, ...]:
        """For each object (n, 2) int64 y, x of all points asked about it, answered or not.

        Raises:
            ValueError: A point of an object that is not there.
        """
        objects = self.boxes(sample)
        found: list[list[tuple[int, int]]] = [[] for _ in range(len(objects))]
        if isinstance(objects, Instances):
            found = [[(y, x) for x, y in where] for where in objects.points]
        for answer in self._asked[sample]:
            self._check(answer, len(objects))
            y, x = divmod(answer.unit, int(self._widths[sample]))
            found[answer.instance].append((y, x))
        return tuple(np.array(points, np.int64).reshape(-1, 2) for points in found)

    def masks(self, sample: int) -> tuple[Mask | None, ...]:
        """The whole mask of each object, None where it is not known.

        Raises:
            ValueError: An answer about an object that is not there.
        """
        objects = self.boxes(sample)
        masks: list[Mask | None] = [None] * len(objects)
        if isinstance(objects, Instances) and objects.masks is not None:
            masks = list(objects.masks)
        for answer in self._masks[sample]:
            self._check(answer, len(objects))
            masks[answer.instance] = Mask.decode(answer.payload)
        return tuple(masks)

    def _check(self, answer: Answer, n: int) -> None:
        if not 0 <= answer.instance < n:
            raise ValueError(
                f'Expected an object 0 to {n - 1} of sample {answer.sample}, as it has {n} boxes, '
                f'but got an answer about {answer.instance}: the boxes have changed since'
            )
