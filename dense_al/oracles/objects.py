"""What a data set's masks say about points and objects, for the simulated annotator."""

from functools import cache

import numpy as np

from dense_al.acquisition.functional import random_points
from dense_al.structures import INSIDE, OUTSIDE, UNSURE, Inside, Instances, Mask


class SimulatedObjects:
    """The objects of one image.

    Args:
        label: Their boxes and masks.
        size: Height and width of the image in pixels.
        unsure: Points nearer than this to an object's outline, in pixels, cannot be told.

    Raises:
        ValueError: No masks.
    """

    def __init__(self, label: Instances, size: tuple[int, int], unsure: float = 0.0) -> None:
        if label.masks is None:
            raise ValueError('Expected objects with masks, but got boxes alone')
        self._label, self._size, self._unsure = label, size, unsure
        self._sides = cache(self._sides_of)

    def mask(self, instance: int) -> Mask:
        """The mask of an object."""
        assert self._label.masks is not None
        return self._label.masks[instance]

    def inside(self, instance: int, unit: int) -> Inside | None:
        """Whether pixel y * width + x lies on an object; None where nobody can say."""
        label = int(self._sides(instance).ravel()[unit])
        return None if label == UNSURE else Inside(label == INSIDE)

    def with_points(self, n: int, rng: np.random.Generator) -> Instances:
        """The boxes, and for each n random points in the place of its mask."""
        given = self._label
        points = random_points(given.boxes, self._size, n, rng)
        labels = [self._sides(i)[at[:, 0], at[:, 1]] for i, at in enumerate(points)]
        said = np.array(labels, np.int64).reshape(len(given), n)
        return Instances(given.boxes, given.labels, points[..., ::-1], said)

    def _sides_of(self, instance: int) -> np.ndarray:
        """(H, W) int8: on the object, beside it, or too near its outline."""
        mask = self.mask(instance).array()
        sides = np.where(mask, np.int8(INSIDE), np.int8(OUTSIDE))
        if self._unsure > 0 and mask.any() and not mask.all():  # else there is no outline
            from scipy.ndimage import distance_transform_edt

            # Distances between pixel centres: the outline is half a pixel before the other side.
            other = np.maximum(distance_transform_edt(mask), distance_transform_edt(~mask))
            sides[other - 0.5 < self._unsure] = UNSURE
        return sides
