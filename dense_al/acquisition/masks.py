"""Whole masks of objects whose boxes are drawn, where the model is least certain of them."""

from dataclasses import replace

import numpy as np

from dense_al.acquisition import functional as F
from dense_al.acquisition.base import Acquisition, Selection
from dense_al.acquisition.points import PointUncertainty
from dense_al.pool import Units
from dense_al.registry import ACQUISITIONS
from dense_al.structures import ElementRows, InstancePrediction, Query


@ACQUISITIONS.register
class MaskUncertainty(PointUncertainty):
    """Asks for the whole mask of objects; the others keep their boxes and points.

    An object's score is the mean uncertainty over its box; objects that the model says nothing
    about come last.

    Args:
        metric: As in `PointUncertainty`; `random` needs no model.
        views: Where the predictions come from, see `MaskOptions`.
        most: Positives of an object; None: 32 for the mean, 8 where each counts on its own.
        passes: Passes with dropout.
        dropout: Its probability.
    """

    kind = 'instance'

    def __init__(
        self,
        metric: str = 'entropy',
        views: str = 'positives',
        most: int | None = None,
        passes: int = 8,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(metric=metric, views=views, most=most, passes=passes, dropout=dropout)

    def observe(self, prediction: InstancePrediction, sample: int, units: Units) -> ElementRows:
        left = np.flatnonzero(~prediction.has_mask)
        limits = F.pixel_boxes(prediction.boxes, *prediction.size)[left]
        score = np.zeros(len(left))
        for row, i in enumerate(left):
            probs = prediction.maps[i] if prediction.maps else None
            if probs is not None and self.metric != 'random':
                score[row] = F.mask_uncertainty(probs, self.metric).mean()
        return ElementRows(
            sample=np.full(len(left), sample, np.int64),
            instance=left.astype(np.int64),
            unit=np.zeros(len(left), np.int64),
            score=score,
            size=(limits[:, 2:] - limits[:, :2]).prod(axis=1),
            category=np.full(len(left), -1, np.int64),
        )

    def select(self, rows: ElementRows, given: Selection) -> Query:
        return Acquisition.select(self, rows, given)  # no pixel is drawn

    def scored(self, rows: ElementRows, given: Selection) -> ElementRows:
        if self.metric == 'random':
            rows = replace(rows, score=given.rng.random(len(rows)))
        return rows
