"""Regions that the source domain lacks, then regions that are uncertain (D2ADA).

Wu et al., D2ADA: Dynamic Density-aware Active Domain Adaptation for Semantic Segmentation,
ECCV 2022.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from dense_al.acquisition import functional as F
from dense_al.acquisition.aggregates import Mean
from dense_al.acquisition.base import Acquisition, Selection, by_score, check_share, take
from dense_al.acquisition.composed import unit_features
from dense_al.acquisition.functional.class_density import MIN_ROWS
from dense_al.acquisition.scores import pixel_score
from dense_al.pool import Units
from dense_al.registry import ACQUISITIONS, ConfigError
from dense_al.structures import ElementRows, Query, SegPrediction


class RegionsOfDomains(Acquisition):
    """Regions of source and target with features, predicted class and mean uncertainty.

    Args:
        unit: Config of the units.
        uncertainty: The score of pixels.
        source_images: Source images, drawn anew each round, that are observed; None: all.
        subset: Share of the target images, drawn anew each round, that are observed; None: all.

    Raises:
        ConfigError: Values out of range.
    """

    kind = 'region'
    observes = frozenset({'pool', 'labelled', 'source'})

    def __init__(
        self, unit: Any, uncertainty: Any, source_images: int | None, subset: float | None
    ) -> None:
        whole = isinstance(source_images, int) and not isinstance(source_images, bool)
        if source_images is not None and (not whole or source_images < 1):
            raise ConfigError(
                f'Expected `acquisition.source_images` to be an integer of at least 1, '
                f'but got {source_images!r}'
            )
        self.unit, self.uncertainty, self.source_images = unit, uncertainty, source_images
        self.subset = check_share('subset', subset)
        self.needs = frozenset({'probs', 'features'}) | uncertainty.needs

    def source_samples(self, source: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.source_images is None or self.source_images >= len(source):
            return source
        return np.sort(rng.choice(source, self.source_images, replace=False))

    def observe(self, prediction: SegPrediction, sample: int, units: Units) -> ElementRows:
        if prediction.features is None:
            raise ValueError('Expected a prediction with features, but got none')
        size, unit_map = units.sizes(sample), units.map(sample)
        n = len(size)
        values = self.uncertainty(prediction.probs)
        probs = prediction.probs.flatten(1).T.cpu().numpy()
        return ElementRows.of_sample(
            sample,
            Mean()(np.asarray(values.cpu() if hasattr(values, 'cpu') else values), unit_map, n),
            size,
            F.region_mean(probs, unit_map.ravel(), n).argmax(1),
            unit_features(prediction.features.cpu().numpy(), unit_map, n),
        )

    def split(self, rows: ElementRows, given: Selection) -> tuple[ElementRows, ElementRows]:
        """Rows of the source and of the target, ordered by key.

        Raises:
            ConfigError: No source.
        """
        rows = rows.sorted_by_key()
        of_source: Any = np.zeros(len(rows), bool)
        if given.n_pool is not None:
            of_source = rows.sample >= given.n_pool
        if not of_source.any():
            raise ConfigError('Expected regions of a source domain, but got none')
        return rows.take(of_source), rows.take(~of_source)


@ACQUISITIONS.register
class DensityAware(RegionsOfDomains):
    """Splits each round's budget between a density ratio of the domains and an uncertainty.

    The density-aware share is alpha 2^(beta (1 - round)), rounds counted from 1. Its regions are
    ranked within their predicted class by log p_target - log p_source and merged by the classes'
    weights, see `category_density`. The rest goes to the highest mean uncertainty.

    Args:
        unit: Config of the units, such as ``dict(type='Superpixels', n_segments=40)``.
        alpha: Share of the density-aware part in the first round, >= 0; more than 1 counts as 1.
        beta: How fast it falls, in powers of 2 per round; 0 keeps it.
        uncertainty: Config of the score of pixels whose mean over a region ranks the rest.
        min_rows: Regions a class needs in either domain for mixtures of its own, at least 4.
        source_images: Source images, drawn anew each round, that are observed; None: all.
        paper_compat: Mixtures and weights as in the released code; classes to which it gives no
            weight are left to the uncertainty. Needs scikit-learn.
        subset: Share of the target images, drawn anew each round, that are observed; None: all.

    Raises:
        ConfigError: Values out of range.
    """

    def __init__(
        self,
        unit: Any,
        alpha: float = 1.0,
        beta: float = 1.0,
        uncertainty: Any = 'Entropy',
        min_rows: int = 40,
        source_images: int | None = None,
        paper_compat: bool = False,
        subset: float | None = None,
    ) -> None:
        for name, value in (('alpha', alpha), ('beta', beta)):
            if not isinstance(value, (int, float)) or not 0 <= value < np.inf:
                raise ConfigError(
                    f'Expected `acquisition.{name}` to be a number of at least 0, but got {value!r}'
                )
        whole = isinstance(min_rows, int) and not isinstance(min_rows, bool)
        if not whole or min_rows < MIN_ROWS:
            raise ConfigError(
                f'Expected `acquisition.min_rows` to be an integer of at least {MIN_ROWS}, '
                f'but got {min_rows!r}'
            )
        self.alpha, self.beta = alpha, beta
        self.min_rows, self.paper_compat = min_rows, paper_compat
        score = pixel_score(uncertainty, 'acquisition.uncertainty')
        super().__init__(unit, score, source_images, subset)

    def select(self, rows: ElementRows, given: Selection) -> Query:
        source, target = self.split(rows, given)
        asked = self.asked(target, given)
        spend = given.spend(self.kind, target)
        closed = self.closed(target, asked, spend, given)
        found = self._densities(source, target, given)
        ranked = ~closed & (found.weights[target.category] > 0)
        by_density = F.density_order(found.score, target.category, found.weights, ranked)
        share = F.d2ada_budgets(self.alpha, self.beta, given.amount, given.round_number + 1)[0]
        first = take(by_density, spend, share)
        left = closed.copy()
        left[first] = True
        rest = by_score(target.score, ~left, given.rng)
        rest = take(rest, spend, given.amount - spend[first].sum())
        picks = np.concatenate([first, rest])
        # What a unit was chosen by is what its score says.
        score = target.score.copy()
        score[first] = found.score[first]
        return Query.of_rows(self.kind, replace(target, score=score).take(picks))

    def _densities(
        self, source: ElementRows, target: ElementRows, given: Selection
    ) -> F.CategoryDensity:
        """Density ratios of all regions of the target, labelled ones too."""
        assert source.features is not None and target.features is not None
        return F.category_density(
            source.features,
            source.category,
            target.features,
            target.category,
            n_classes=given.n_classes,
            min_rows=self.min_rows,
            seed=int(given.rng.integers(2**31)),
            paper_compat=self.paper_compat,
        )
