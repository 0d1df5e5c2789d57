"""Images to label with boxes, by what a detector says of them (Riedlinger et al. 2023)."""

from dataclasses import replace
from typing import Any

import numpy as np

from dense_al.acquisition.base import Acquisition, Selection, check_share, take
from dense_al.acquisition.functional import detection as D
from dense_al.acquisition.functional.weighted_k_center import weighted_k_center
from dense_al.acquisition.samplers import KCenter, Sampler, TopK
from dense_al.pool import Units
from dense_al.registry import ACQUISITIONS, ConfigError, nearest
from dense_al.structures import DetectionOptions, DetPrediction, ElementRows, Query

SCORES = ('Entropy', 'Margin', 'MutualInformation', 'MCDropout')
AGGREGATES = ('sum', 'mean', 'max')
WEIGH = ('always', 'first')


class ImagesWithBoxes(Acquisition):
    """Whole images; the detector is asked for boxes."""

    kind = 'image'
    unit: Any = {'type': 'Image'}
    options = DetectionOptions()

    def _rows(self, sample: int, units: Units, score: float, features: np.ndarray) -> ElementRows:
        return ElementRows.of_sample(
            sample, np.array([score]), units.sizes(sample), None, features[None]
        )

    def _sampled(
        self, sampler: Sampler, rows: ElementRows, asked: np.ndarray, given: Selection
    ) -> Query:
        spend = given.spend(self.kind, rows)
        picks = sampler(rows, asked, spend, given.amount, given.rng)
        return self.query(rows, picks, spend[~asked], given)


@ACQUISITIONS.register
class BoxUncertainty(ImagesWithBoxes):
    """Images whose boxes the detector is least sure of.

    Args:
        score: `Entropy`, `Margin` ((1 - (p1 - p2))^2), `MutualInformation` or `MCDropout` of each
            box's class probabilities, renormalised over the classes.
        background: Whether the background is one of the classes that Entropy and Margin look at.
        aggregate: `sum`, `mean` or `max` over the boxes of an image; 0 without boxes.
        weight: None, or `'class'`: each box counts (n + C) / (n_c + 1) by its predicted class, n_c
            being the labelled objects of it.
        score_thr: Boxes below this score are not seen.
        nms_iou: Boxes of one class that overlap more are suppressed.
        max_boxes: Best boxes of an image that count.
        nms_pre: Best candidates before the suppression.
        per_class: Whether a box counts once for each class that it scores enough for.
        passes: Stochastic passes, where the score needs them.
        dropout: Probability of dropout in front of the head's last layers.
        subset: Share of the samples, drawn anew each round, that are observed; None: all.
    """

    def __init__(
        self,
        score: str = 'Entropy',
        aggregate: str = 'sum',
        weight: str | None = None,
        background: bool = False,
        score_thr: float = 0.5,
        nms_iou: float = 0.5,
        max_boxes: int = 20,
        nms_pre: int = 1000,
        per_class: bool = False,
        passes: int = 10,
        dropout: float = 0.5,
        subset: float | None = None,
    ) -> None:
        for name, value, valid in (
            ('score', score, SCORES),
            ('aggregate', aggregate, AGGREGATES),
        ):
            if value not in valid:
                raise ConfigError(
                    f'Unknown `acquisition.{name}` {value!r}. {nearest(str(value), valid)}'
                )
        if weight not in (None, 'class'):
            raise ConfigError(f"Expected `acquisition.weight` None or 'class', but got {weight!r}")
        if background and score not in ('Entropy', 'Margin'):
            raise ConfigError(
                f'Expected `acquisition.background` with Entropy or Margin, but got {score}'
            )
        self.score, self.aggregate, self.weight = score, aggregate, weight
        self.background = background
        self.subset = check_share('subset', subset)
        self.needs = frozenset({'boxes'})
        self.options = DetectionOptions(
            score_thr=score_thr,
            nms_iou=nms_iou,
            max_boxes=max_boxes,
            nms_pre=nms_pre,
            per_class=per_class,
            passes=passes if score in ('MutualInformation', 'MCDropout') else 0,
            dropout=dropout,
        )

    def observe(self, prediction: DetPrediction, sample: int, units: Units) -> ElementRows:
        values = self._values(prediction)
        width = values.shape[1] + 1
        # Weights and standardisation need the whole pool: the boxes travel with their image.
        table = np.full((self.options.max_boxes, width), np.nan, np.float32)
        table[: len(values), 0] = prediction.labels
        table[: len(values), 1:] = values
        return self._rows(sample, units, 0.0, table.ravel())

    def _values(self, prediction: DetPrediction) -> np.ndarray:
        """(K, D) what is kept of each box: its score, or its deviations."""
        if self.score == 'MCDropout':
            if prediction.passes is None or prediction.box_passes is None:
                raise ValueError('Expected a prediction with passes, but got none')
            return D.deviations(prediction.passes, prediction.box_passes)
        if self.score == 'MutualInformation':
            if prediction.passes is None:
                raise ValueError('Expected a prediction with passes, but got none')
            return D.mutual_information(D.renormalised(prediction.passes))[:, None]
        probs = prediction.probs
        if self.background:
            probs = np.concatenate([probs, prediction.background[:, None]], axis=1)
        probs = D.renormalised(probs)
        values = D.shannon(probs) if self.score == 'Entropy' else D.squared_margin(probs)
        return values[:, None]

    def select(self, rows: ElementRows, given: Selection) -> Query:
        rows = rows.sorted_by_key()
        asked = self.asked(rows, given)
        rows = replace(rows, score=self._scores(rows, given))
        return self._sampled(TopK(), rows, asked, given)

    def _scores(self, rows: ElementRows, given: Selection) -> np.ndarray:
        """(N,) score of each image."""
        assert rows.features is not None
        tables = rows.features.reshape(len(rows), self.options.max_boxes, -1)
        owner, place = np.nonzero(~np.isnan(tables[:, :, 0]))
        boxes = tables[owner, place].astype(np.float64)
        if self.score == 'MCDropout':
            values = D.largest_deviation(boxes[:, 1:])
        else:
            values = boxes[:, 1]
        if self.weight:
            weights = D.class_weights(given.ledger.class_counts(given.n_classes))
            values = values * weights[boxes[:, 0].astype(np.int64)]
        return D.over_boxes(values, owner, len(rows), self.aggregate)


@ACQUISITIONS.register
class ImageCoreSet(ImagesWithBoxes):
    """Images that cover the pool in the space of the head's outputs (Sener and Savarese 2018).

    The published sandbox flattens the outputs before activation; here each level is pooled to a
    fixed grid first, so that images may differ in size. Of a weakly supervised detector, which has
    no outputs of the whole image, the mean of the last feature map is taken (Vo et al. 2022).

    Args:
        weight: None, or `entropy`: distances are multiplied by the largest entropy of a box of the
            image, background included (BiB's `core-set-ent`).
        weigh: `always`, or `first`: only the distances to what is labelled when the round begins,
            as the released code.
    """

    def __init__(self, weight: str | None = None, weigh: str = 'always') -> None:
        if weight not in (None, 'entropy'):
            raise ConfigError(
                f"Expected `acquisition.weight` None or 'entropy', but got {weight!r}"
            )
        if weigh not in WEIGH:
            raise ConfigError(f'Unknown `acquisition.weigh` {weigh!r}. {nearest(weigh, WEIGH)}')
        self.weight, self.weigh = weight, weigh
        self.needs = frozenset({'image_features', 'boxes'} if weight else {'image_features'})
        self.observes = frozenset({'pool', 'labelled'})
        self.options = DetectionOptions(
            score_thr=0.001, nms_iou=0.3, nms_pre=100_000, max_boxes=100, per_class=True
        )

    def observe(self, prediction: DetPrediction, sample: int, units: Units) -> ElementRows:
        if prediction.image_features is None:
            raise ValueError('Expected a prediction with image features, but got none')
        score = 0.0
        if self.weight:
            parts = [prediction.probs, prediction.background[:, None]]
            entropy = D.shannon(D.renormalised(np.concatenate(parts, axis=1)))
            score = float(entropy.max(initial=0.0))
        return self._rows(sample, units, score, prediction.image_features)

    def select(self, rows: ElementRows, given: Selection) -> Query:
        rows = rows.sorted_by_key()
        asked = self.asked(rows, given)
        if not self.weight:
            return self._sampled(KCenter(), rows, asked, given)
        assert rows.features is not None
        spend = given.spend(self.kind, rows)
        n = int(min((~asked).sum(), 1 + given.amount // spend[~asked].min()))
        order = weighted_k_center(
            rows.features, asked, rows.score, n=n, always=self.weigh == 'always', rng=given.rng
        )
        return self.query(rows, take(order, spend, given.amount), spend[~asked], given)
