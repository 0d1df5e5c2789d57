"""Acquisitions about tags: asking for them, and choosing images by them."""

from typing import Any

import numpy as np

from dense_al.acquisition.base import Acquisition, Selection
from dense_al.acquisition.detection import ImagesWithBoxes
from dense_al.pool import TagStore, Units
from dense_al.registry import ACQUISITIONS
from dense_al.structures import DetPrediction, ElementRows


class _Images(Acquisition):
    """Whole images, chosen without a model; at random, as none has a score."""

    unit: Any = {'type': 'Image'}

    def observe(self, prediction: Any, sample: int, units: Units) -> ElementRows:
        return ElementRows.of_sample(sample, np.zeros(1), units.sizes(sample))


@ACQUISITIONS.register
class ImageTags(_Images):
    """Asks which classes are in an image, not where; random images up to the budget."""

    kind = 'tags'


@ACQUISITIONS.register
class ClassBalancedRandom(_Images):
    """Random images of the class that the fewest labelled images show (BiB's `b-random`).

    The classes of an image are known from its tags; where these were declined it comes last, as if
    it showed nothing.
    """

    kind = 'image'
    reads_tags = True

    def order(
        self, rows: ElementRows, closed: np.ndarray, spend: np.ndarray, given: Selection
    ) -> np.ndarray:
        tags = TagStore(given.ledger.in_force())
        shown = np.zeros((len(rows), given.n_classes), bool)
        for i, sample in enumerate(rows.sample):
            known = tags.tags(int(sample))
            if known is not None:
                shown[i, known] = True
        return balanced(shown, closed, _classes_labelled(given, tags), given.rng)


def _classes_labelled(given: Selection, tags: TagStore) -> np.ndarray:
    """(C,) labelled images that show each class."""
    counts = np.zeros(given.n_classes, np.int64)
    for sample in given.ledger.whole_samples():
        known = tags.tags(int(sample))
        if known is not None:
            counts[known] += 1
    return counts


def balanced(
    shown: np.ndarray, closed: np.ndarray, counts: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """All images that may be asked, each drawn for the class that was drawn least.

    Args:
        shown: (N, C) bool which classes each image shows.
        closed: (N,) bool images that may not.
        counts: (C,) images of each class so far.
        rng: Source of randomness.

    Returns:
        (M,) int64; images that show nothing come last.
    """
    free, counts = ~closed, counts.astype(np.int64).copy()
    order: list[int] = []
    # One shuffled queue per class: the first image of it that is still free is a random one.
    queues = [rng.permutation(np.flatnonzero(shown[:, c] & free)) for c in range(shown.shape[1])]
    heads = np.zeros(len(queues), np.int64)
    while True:
        for c, queue in enumerate(queues):
            while heads[c] < len(queue) and not free[queue[heads[c]]]:
                heads[c] += 1
        open_ = np.array([heads[c] < len(q) for c, q in enumerate(queues)], bool)
        if not open_.any():
            return np.concatenate(
                [np.array(order, np.int64), rng.permutation(np.flatnonzero(free))]
            )
        least = np.flatnonzero(open_ & (counts == counts[open_].min()))
        c = int(rng.choice(least))
        image = int(queues[c][heads[c]])
        order.append(image)
        free[image] = False
        counts += shown[image]


@ACQUISITIONS.register
class WeakLoss(ImagesWithBoxes):
    """Images whose tags a weakly supervised detector fits worst (BiB's `loss`).

    An image whose tags were declined comes last.
    """

    def __init__(self) -> None:
        self.needs = frozenset({'weak_loss'})

    def observe(self, prediction: DetPrediction, sample: int, units: Units) -> ElementRows:
        loss = prediction.weak_loss
        if loss is None and prediction.tags is not None:
            raise ValueError('Expected a prediction with the loss on its tags, but got none')
        return self._rows(prediction, units, 0.0 if loss is None else loss)
