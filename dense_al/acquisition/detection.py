"""Images to label with boxes, by what a detector says of them (Riedlinger et al. 2023)."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from dense_al.acquisition.base import Acquisition, Selection, check_share, take
from dense_al.acquisition.functional import class_weights
from dense_al.acquisition.functional import detection as D
from dense_al.acquisition.functional.weighted_k_center import weighted_k_center
from dense_al.acquisition.samplers import FeatureSampler, KCenter, Sampler
from dense_al.pool import Units
from dense_al.registry import ACQUISITIONS, ConfigError, check_range, nearest
from dense_al.structures import DetectionOptions, DetPrediction, ElementRows

SCORES = ('Entropy', 'Margin', 'MutualInformation', 'MCDropout')
STOCHASTIC = ('MutualInformation', 'MCDropout')
AGGREGATES = ('sum', 'mean', 'max')
METRICS = ('euclidean', 'cosine')
RELEASED_PAIR_THR = 0.05  # of the stochastic scores; the others take `score_thr`


class ImagesWithBoxes(Acquisition):
    """Whole images; the detector is asked for boxes.

    Attributes:
        object_thr: A box above this score counts as an object when the price is predicted.
    """

    kind = 'image'
    unit: Any = {'type': 'Image'}
    options = DetectionOptions()
    object_thr = 0.5

    def _rows(
        self,
        prediction: DetPrediction,
        units: Units,
        score: float,
        features: np.ndarray | None = None,
    ) -> ElementRows:
        """The row of one image, with the objects that are predicted in it."""
        sample = prediction.sample
        features = None if features is None else features[None]
        score_, size = np.array([score]), units.sizes(sample)
        rows = ElementRows.of_sample(sample, score_, size, None, features)
        return replace(rows, objects=np.array([self._objects(prediction.scores)]))

    def _objects(self, scores: np.ndarray) -> float:
        """Objects that boxes with these scores make out, NaN where no boxes are looked at.

        One at least: where nothing is found an image would be free, and all such images be asked.
        """
        return max((scores > self.object_thr).sum(), 1.0) if 'boxes' in self.needs else np.nan


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
        released: Whether to score as the released code does where that differs from what it
            describes: a candidate counts once for each class above a threshold, classes are
            weighted whatever `weight` is, and `MutualInformation` and `MCDropout` are
            `released_mutual_information` and `released_largest_deviation`. Not reproduced: it
            takes boxes of stochastic scores from the mean of the passes.
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
        released: bool = False,
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
        check_range('acquisition.passes', passes, 1)
        self.score, self.aggregate, self.released = score, aggregate, released
        self.weight = 'class' if released else weight
        self.background = background
        self.subset = check_share('subset', subset)
        self.needs = frozenset({'boxes', 'passes'} if score in STOCHASTIC else {'boxes'})
        pair_thr = RELEASED_PAIR_THR if score in STOCHASTIC else score_thr
        self.options = DetectionOptions(
            score_thr=score_thr,
            nms_iou=nms_iou,
            max_boxes=max_boxes,
            nms_pre=nms_pre,
            passes=passes if score in STOCHASTIC else 0,
            dropout=dropout,
            pair_thr=pair_thr if released else score_thr if per_class else None,
        )

    def observe(self, prediction: DetPrediction, sample: int, units: Units) -> ElementRows:
        values = self._values(prediction)
        width = values.shape[1] + 1
        # Weights and standardisation need the whole pool: the boxes travel with their image.
        table = np.full((self.options.max_boxes, width), np.nan, np.float32)
        table[: len(values), 0] = prediction.labels
        table[: len(values), 1:] = values
        return self._rows(prediction, units, 0.0, table.ravel())

    def _values(self, prediction: DetPrediction) -> np.ndarray:
        """(K, D) what is kept of each box: its score, or its deviations (and mean passes)."""
        if self.score in STOCHASTIC:
            if prediction.passes is None or prediction.box_passes is None:
                raise ValueError('Expected a prediction with passes, but got none')
            return self._of_passes(prediction.passes, prediction.box_passes)
        probs = prediction.probs
        if self.background:
            probs = np.concatenate([probs, prediction.background[:, None]], axis=1)
        probs = D.renormalised(probs)
        values = D.entropy(probs) if self.score == 'Entropy' else D.squared_margin(probs)
        return values[:, None]

    def _of_passes(self, passes: np.ndarray, box_passes: np.ndarray) -> np.ndarray:
        """(K, D) as above, of (M, K, C) probabilities and (M, K, 4) boxes."""
        if self.score == 'MCDropout':
            if not self.released:
                return D.deviations(passes, box_passes)
            spread = D.deviations(passes, box_passes, ddof=1)
            return np.concatenate([spread, passes.mean(axis=0)], axis=1)
        if self.released:
            return D.released_mutual_information(passes)[:, None]
        return D.mutual_information(D.renormalised(passes))[:, None]

    def scored(self, rows: ElementRows, given: Selection) -> ElementRows:
        return replace(rows, score=self._scores(rows, given))

    def _scores(self, rows: ElementRows, given: Selection) -> np.ndarray:
        """(N,) score of each image."""
        assert rows.features is not None
        tables = rows.features.reshape(len(rows), self.options.max_boxes, -1)
        owner, place = np.nonzero(~np.isnan(tables[:, :, 0]))
        boxes = tables[owner, place].astype(np.float64)
        values = self._standardised(boxes[:, 1:]) if self.score == 'MCDropout' else boxes[:, 1]
        if self.weight:
            weights = class_weights(given.ledger.class_counts(given.n_classes))
            values = values * weights[boxes[:, 0].astype(np.int64)]
        return D.over_boxes(values, owner, len(rows), self.aggregate)

    def _standardised(self, kept: np.ndarray) -> np.ndarray:
        """(N,) largest deviation of each box of the pool."""
        if not self.released:
            return D.largest_deviation(kept)
        n_classes = (kept.shape[1] - 5) // 2
        return D.released_largest_deviation(kept[:, :-n_classes], kept[:, -n_classes:])


class MostAlike(FeatureSampler):
    """Rows by the "cosine distance" of the released sandbox, a similarity; ties at random."""

    def _pick(
        self, features: np.ndarray, labelled: np.ndarray, n: int, rng: np.random.Generator
    ) -> np.ndarray:
        order = rng.permutation(len(features))
        known = labelled[order]
        if known.any():
            return order[D.most_alike_greedy(features[order], known, n)]
        known[0] = True  # with nothing labelled the first pick is random
        rest = D.most_alike_greedy(features[order], known, n - 1)
        return order[np.concatenate([[0], rest])]


class WeightedKCenter:
    """Rows that are farthest from the labelled ones, distances multiplied by their scores.

    Args:
        always: Whether distances to the rows that were chosen count so as well.
    """

    needs: ClassVar[frozenset[str]] = frozenset({'features'})
    observes: ClassVar[frozenset[str]] = frozenset({'pool', 'labelled'})

    def __init__(self, always: bool) -> None:
        self.always = always

    def __call__(
        self,
        rows: ElementRows,
        labelled: np.ndarray,
        spend: np.ndarray,
        amount: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        assert rows.features is not None
        n = int(min((~labelled).sum(), 1 + amount // spend[~labelled].min()))
        order = weighted_k_center(
            rows.features, labelled, rows.score, n=n, always=self.always, rng=rng
        )
        return take(order, spend, amount)


@ACQUISITIONS.register
class ImageCoreSet(ImagesWithBoxes):
    """Images that cover the pool in the space of the head's outputs (Sener and Savarese 2018).

    The published sandbox flattens the outputs before activation; here each level is pooled to a
    fixed grid first, so that images may differ in size. Of a weakly supervised detector, which has
    no outputs of the whole image, the mean of the last feature map is taken (Vo et al. 2022).

    Args:
        metric: `euclidean` or `cosine`.
        weight: None, or `entropy`: distances are multiplied by the largest entropy of a box of the
            image, background included (BiB's `core-set-ent`).
        score_thr: Lowest score of a box that counts for a `weight`.
        released: Whether to do as released code does: a cosine similarity is taken for a distance
            (the sandbox), and a `weight` counts only for the distances to what is labelled when the
            round begins (BiB).
    """

    def __init__(
        self,
        metric: str = 'euclidean',
        weight: str | None = None,
        released: bool = False,
        score_thr: float = 0.001,
    ) -> None:
        if metric not in METRICS:
            raise ConfigError(
                f'Unknown `acquisition.metric` {metric!r}. {nearest(str(metric), METRICS)}'
            )
        if weight not in (None, 'entropy'):
            raise ConfigError(
                f"Expected `acquisition.weight` None or 'entropy', but got {weight!r}"
            )
        if weight and metric != 'euclidean':
            raise ConfigError(
                f"Expected `acquisition.metric` 'euclidean' with a weight, but got {metric!r}"
            )
        check_range('acquisition.score_thr', score_thr, 0, 1)
        alike = released and metric == 'cosine'
        self.sampler: Sampler = MostAlike() if alike else KCenter(metric)
        if weight:
            self.sampler = WeightedKCenter(always=not released)
        self.weight, self.released = weight, released
        self.needs = frozenset({'image_features', 'boxes'} if weight else {'image_features'})
        self.observes = frozenset({'pool', 'labelled'})
        if weight:
            self.options = DetectionOptions(
                score_thr=score_thr, nms_iou=0.3, nms_pre=100_000, max_boxes=100, pair_thr=score_thr
            )

    def observe(self, prediction: DetPrediction, sample: int, units: Units) -> ElementRows:
        if prediction.image_features is None:
            raise ValueError('Expected a prediction with image features, but got none')
        score = 0.0
        if self.weight:
            parts = [prediction.probs, prediction.background[:, None]]
            entropy = D.entropy(D.renormalised(np.concatenate(parts, axis=1)))
            score = float(entropy.max(initial=0.0))
        return self._rows(prediction, units, score, prediction.image_features)

    def order(
        self, rows: ElementRows, closed: np.ndarray, spend: np.ndarray, given: Selection
    ) -> np.ndarray:
        return self.sampled(self.sampler, rows, closed, spend, given)
