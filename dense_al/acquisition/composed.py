"""`Composed`: most published methods are a unit, a score, an aggregate and a sampler."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from dense_al.acquisition import functional as F
from dense_al.acquisition.aggregates import SHORT
from dense_al.acquisition.base import Acquisition, Selection, check_share
from dense_al.acquisition.samplers import described
from dense_al.acquisition.scores import Random
from dense_al.pool import Units
from dense_al.registry import (
    ACQUISITIONS,
    AGGREGATES,
    SAMPLERS,
    SCORES,
    ConfigError,
    check_range,
)
from dense_al.structures import ElementRows, ScanOptions, SegPrediction


@ACQUISITIONS.register
class Composed(Acquisition):
    """Score the pixels, aggregate them over units, weight by class, sample.

    Args:
        unit: Config of the units: `Image`, `Superpixels`, `Grid`.
        score: Config of the score, or a list of them, each with an optional `weight` (their
            weighted sum counts); None where the sampler needs no score.
        weight: None, or `'class'`: units are weighted by (n + C) / (n_c + 1), n_c being the
            labelled units of their predicted class (Riedlinger et al. 2023); or `'rarity'`: scores
            are scaled to [0, 1] and weighted by exp(-share), the share of all units that are
            predicted as that class (Cai et al. 2021).
        aggregate: `mean`, `max`, `sum`, or a dict such as ``dict(type='TopKMean', k=50)``.
        subset: Share of the samples, drawn anew each round, that are observed at all; None: all.
        prefilter: Share of the candidates, best scores first, that the sampler sees; None: all.
        sampler: Config of the sampler: `TopK`, `RandomOrder`, `KCenter`, `KMeansPlusPlus`,
            `DiversityAware`, `Clue`, `Badge`, `BoundaryQuota`, `ClassMixtures`.
        passes: Augmented views of a scan whose probabilities and features are averaged; 1: the
            scan as it is. More than one are refused where samples are no scans.
    """

    def __init__(
        self,
        unit: Any,
        score: Any = None,
        weight: str | None = None,
        aggregate: Any = 'mean',
        subset: float | None = None,
        prefilter: float | None = None,
        sampler: Any = 'TopK',
        passes: int = 1,
    ) -> None:
        self.unit = unit
        name = unit.get('type') if isinstance(unit, Mapping) else unit
        self.kind = 'image' if name == 'Image' else 'region'
        self.scores = _scores(score)
        aggregate = SHORT.get(aggregate, aggregate) if isinstance(aggregate, str) else aggregate
        self.aggregate = AGGREGATES.build(aggregate, 'acquisition.aggregate')
        self.sampler = SAMPLERS.build(sampler, 'acquisition.sampler')
        if weight not in (None, 'class', 'rarity'):
            raise ConfigError(
                f"Expected `acquisition.weight` None, 'class' or 'rarity', but got {weight!r}"
            )
        self.weight = weight
        self.subset = check_share('subset', subset)
        self.prefilter = check_share('prefilter', prefilter)
        self.random = any(isinstance(s, Random) for s, _ in self.scores)
        if self.random and len(self.scores) > 1:
            raise ConfigError('Expected `acquisition.score` Random to stand alone')
        self.scores = [] if self.random else self.scores  # drawn per unit when they are selected
        needs = frozenset().union(self.sampler.needs, *(s.needs for s, _ in self.scores))
        self.needs = needs | {'probs'} if weight else needs
        check_range('acquisition.passes', passes, 1)
        if passes > 1 and self.needs:  # where no model is run there are no views
            self.needs = self.needs | {'passes'}
            self.options = ScanOptions(passes=passes)
        self.observes = self.sampler.observes
        self._fixed: dict[tuple[Any, int], np.ndarray] = {}  # scores that no round changes

    def observe(self, prediction: SegPrediction | None, sample: int, units: Units) -> ElementRows:
        size = units.sizes(sample)
        n = len(size)
        if prediction is None:
            return ElementRows.of_sample(sample, np.zeros(n), size)
        unit_map = units.map(sample)
        score = np.zeros(n)
        for function, weight in self.scores:
            score += weight * self._of_units(function, prediction, sample, units)
        features = None
        if 'features' in self.needs:
            if prediction.features is None:
                raise ValueError('Expected a prediction with features, but got none')
            features = unit_features(prediction.features.cpu().numpy(), unit_map, n)
        features = described(self.sampler, prediction.probs, features, unit_map, n)
        category = unit_categories(prediction.labels, unit_map, n) if self.weight else None
        return ElementRows.of_sample(sample, score, size, category, features)

    def _of_units(
        self, function: Any, prediction: SegPrediction, sample: int, units: Units
    ) -> np.ndarray:
        """(R,) one score of the units of a sample."""
        if (function, sample) in self._fixed:
            return self._fixed[function, sample]
        if 'points' in function.needs:
            points = units.points(sample, world=False)
            values = function.of_points(prediction.probs, points)
        else:
            values = function(prediction.probs)
        values = values.cpu().numpy() if isinstance(values, torch.Tensor) else values
        found = self.aggregate(values, units.map(sample), len(units.sizes(sample)))
        if getattr(function, 'fixed', False):
            self._fixed[function, sample] = found
        return found

    def scored(self, rows: ElementRows, given: Selection) -> ElementRows:
        score = given.rng.random(len(rows)) if self.random else rows.score
        if self.weight == 'rarity':
            score = F.class_balanced_score(score, rows.category, given.n_classes)
        if self.weight == 'class':
            weights = F.class_weights(given.ledger.class_counts(given.n_classes))
            score = score * weights[rows.category]
        return replace(rows, score=score)

    def order(
        self, rows: ElementRows, closed: np.ndarray, spend: np.ndarray, given: Selection
    ) -> np.ndarray:
        keep: np.ndarray = np.arange(len(rows))
        if self.prefilter is not None:
            keep = np.flatnonzero(closed | _best(rows.score, ~closed, self.prefilter))
        rows, closed, spend = rows.take(keep), closed[keep], spend[keep]
        return keep[self.sampled(self.sampler, rows, closed, spend, given)]


def _scores(score: Any) -> list[tuple[Any, float]]:
    """Builds the scores with their weights."""
    if score is None:
        return []
    listed = list(score) if isinstance(score, Sequence) and not isinstance(score, str) else [score]
    if not listed:
        raise ConfigError('Expected `acquisition.score` to name a score, or None, but got []')
    built = []
    for i, cfg in enumerate(listed):
        field = 'acquisition.score' if len(listed) == 1 else f'acquisition.score[{i}]'
        weight = 1.0
        if isinstance(cfg, Mapping) and len(listed) > 1:
            cfg = dict(cfg)
            weight = float(cfg.pop('weight', 1.0))
        built.append((SCORES.build(cfg, field), weight))
    return built


def _best(score: np.ndarray, among: np.ndarray, share: float) -> np.ndarray:
    """(N,) bool: the best `share` of the rows `among`; rows tied with the last one stay."""
    n = max(1, int(np.ceil(share * among.sum())))
    threshold = np.partition(score[among], among.sum() - n)[among.sum() - n]
    return among & (score >= threshold)


def unit_categories(labels: np.ndarray, unit_map: np.ndarray, n_units: int) -> np.ndarray:
    """(R,) int64 most frequent of the (H, W) labels in each unit, lowest on ties."""
    n_classes = int(labels.max()) + 1
    joint = unit_map.ravel().astype(np.int64) * n_classes + labels.ravel()
    counts = np.bincount(joint, minlength=n_units * n_classes)
    return counts.reshape(n_units, n_classes).argmax(1)


def unit_features(features: np.ndarray, unit_map: np.ndarray, n_units: int) -> np.ndarray:
    """Mean feature of each unit.

    Args:
        features: (D, h, w) float32 at the network's resolution.
        unit_map: (H, W) unit ids at the image's resolution.
        n_units: Number of units R.

    Returns:
        (R, D) float32: mean over the cells whose centre lies in the unit; a unit between all
        centres takes the cell of its first pixel.
    """
    _, h, w = features.shape
    height, width = unit_map.shape
    y = ((np.arange(h) + 0.5) * height / h).astype(np.int64)
    x = ((np.arange(w) + 0.5) * width / w).astype(np.int64)
    cells = unit_map[np.ix_(y, x)]
    flat = np.ascontiguousarray(features.reshape(len(features), -1).T)
    mean = F.region_mean(flat, cells.ravel(), n_units)
    missing = np.flatnonzero(np.bincount(cells.ravel(), minlength=n_units) == 0)
    if len(missing):
        ids, first = np.unique(unit_map, return_index=True)
        at = first[np.searchsorted(ids, missing)]
        cell = (at // width * h // height) * w + at % width * w // width
        mean[missing] = flat[cell]
    return mean.astype(np.float32)
