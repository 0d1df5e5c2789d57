"""The door to tags: which classes are in an image, from answers alone."""

from collections.abc import Sequence

import numpy as np

from dense_al.structures import Answer, Boxes, Tags, decode


class TagStore:
    """Tags of the samples for which they are known: from tags, or from boxes, which say more.

    Args:
        answers: In the order they were given; a later one replaces an earlier one of its kind.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        tags = {a.sample: a.payload for a in answers if Tags.is_in(a.payload)}
        boxes = {a.sample: a.payload for a in answers if Boxes.is_in(a.payload)}
        self._payloads = {**tags, **boxes}

    @property
    def samples(self) -> list[int]:
        """Samples whose tags are known, ascending."""
        return sorted(self._payloads)

    def tags(self, sample: int) -> np.ndarray | None:
        """(T,) int64 classes in a sample, ascending; None where they are not known."""
        label = decode(self._payloads.get(sample, b''))
        return None if label is None else label.classes()
