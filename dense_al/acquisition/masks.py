"""Whole masks of objects whose boxes are drawn, where the model is least certain of them."""

from dataclasses import replace
from typing import Any

import numpy as np

from dense_al.acquisition import functional as F
from dense_al.acquisition.base import Acquisition, Selection
from dense_al.acquisition.points import mask_options, needs_of
from dense_al.pool import Units
from dense_al.registry import ACQUISITIONS
from dense_al.structures import ElementRows, InstancePrediction


@ACQUISITIONS.register
class MaskUncertainty(Acquisition):
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
    observes = frozenset({'labelled'})
    unit: Any = {'type': 'Image'}

    def __init__(
        self,
        metric: str = 'entropy',
        views: str = 'positives',
        most: int | None = None,
        passes: int = 8,
        dropout: float = 0.5,
    ) -> None:
        self.options = mask_options(metric, views, most, passes, dropout)
        self.metric, self.needs = metric, needs_of(metric)

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

    def scored(self, rows: ElementRows, given: Selection) -> ElementRows:
        if self.metric == 'random':
            rows = replace(rows, score=given.rng.random(len(rows)))
        return rows
