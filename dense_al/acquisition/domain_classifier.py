"""Regions that look like the target and are uncertain (AADA).

Su et al., Active Adversarial Domain Adaptation, WACV 2020.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from dense_al.acquisition import functional as F
from dense_al.acquisition.base import Selection, by_score, check_share, take
from dense_al.acquisition.density_aware import RegionsOfDomains
from dense_al.acquisition.scores import pixel_score
from dense_al.registry import ACQUISITIONS, ConfigError
from dense_al.structures import Query


@ACQUISITIONS.register
class DomainClassifier(RegionsOfDomains):
    """Importance D / (1 - D) times uncertainty; regions are drawn from the best ones.

    The paper's D is the discriminator of adversarial training. Here it is a logistic regression on
    the regions' features, fitted in each round to tell the domains apart, so that any model will
    do.

    Args:
        unit: Config of the units.
        uncertainty: Config of the score of pixels whose mean over a region is its uncertainty.
        top: Share of the regions left, best scores first, that are drawn from, in (0, 1]; never
            fewer than the budget pays for. None: the best ones themselves.
        source_images: Source images, drawn anew each round, that are observed; None: all.
        subset: Share of the target images, drawn anew each round, that are observed; None: all.
    """

    def __init__(
        self,
        unit: Any,
        uncertainty: Any = 'Entropy',
        top: float | None = 0.02,
        source_images: int | None = None,
        subset: float | None = None,
    ) -> None:
        self.top = check_share('top', top)
        super().__init__(
            unit, pixel_score(uncertainty, 'acquisition.uncertainty'), source_images, subset
        )

    def select(self, rows: Any, given: Selection) -> Query:
        source, target = self.split(rows, given)
        asked = self.asked(target, given)
        spend = given.spend(self.kind, target)
        closed = self.closed(target, asked, spend, given)
        domain = domain_probability(source.features, target.features)
        score = F.aada_score(domain, np.maximum(target.score, 0))
        order = by_score(score, ~closed, given.rng)
        if self.top is not None:
            paid = len(take(order, spend, given.amount))
            best = F.top_count(self.top, len(order), paid)
            order = np.concatenate([given.rng.permutation(order[:best]), order[best:]])
        picks = take(order, spend, given.amount)
        return Query.of_rows(self.kind, replace(target, score=score).take(picks))


def domain_probability(source: np.ndarray | None, target: np.ndarray | None) -> np.ndarray:
    """How sure a logistic regression is that target rows are of the target.

    Args:
        source: (N, D) features.
        target: (M, D) features.

    Returns:
        (M,) float64 in (0, 1); both domains weigh the same, whatever their numbers.

    Raises:
        ConfigError: No features.
    """
    from sklearn.linear_model import LogisticRegression

    if source is None or target is None:
        raise ConfigError('Expected regions with features, but got none')
    both = np.concatenate([source, target]).astype(np.float64)
    both = (both - both.mean(0)) / np.maximum(both.std(0), 1e-12)
    is_target = np.arange(len(both)) >= len(source)
    model = LogisticRegression(class_weight='balanced', max_iter=200, C=0.1)
    model.fit(both, is_target)
    return model.predict_proba(both[is_target])[:, 1]
