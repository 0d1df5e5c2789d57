"""The door to boxes: objects of images, from answers alone."""

from collections.abc import Sequence

import numpy as np

from dense_al.structures import Answer, Boxes


class BoxStore:
    """Objects of the samples whose boxes were answered.

    Args:
        answers: In the order they were given; a later one replaces an earlier one.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._payloads = {a.sample: a.payload for a in answers if Boxes.is_in(a.payload)}

    @property
    def samples(self) -> list[int]:
        """Samples with an answer, ascending; an answer may hold no object."""
        return sorted(self._payloads)

    def holds(self, sample: int) -> bool:
        """Whether the boxes of a sample were answered."""
        return sample in self._payloads

    def boxes(self, sample: int) -> Boxes:
        """The objects of a sample; none where nothing was answered."""
        payload = self._payloads.get(sample)
        if payload is None:
            return Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
        return Boxes.decode(payload)
