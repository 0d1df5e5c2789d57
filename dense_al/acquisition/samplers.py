"""Samplers: from scored rows to an order that fits the budget."""

from typing import ClassVar, Protocol

import numpy as np
import torch

from dense_al.acquisition import functional as F
from dense_al.acquisition.base import by_score, take
from dense_al.registry import SAMPLERS
from dense_al.structures import ElementRows


class Sampler(Protocol):
    """Chooses among candidates; labelled rows may guide it."""

    needs: ClassVar[frozenset[str]]
    observes: ClassVar[frozenset[str]]

    def __call__(
        self,
        rows: ElementRows,
        labelled: np.ndarray,
        spend: np.ndarray,
        amount: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Row numbers to ask, best first, that spend at most `amount`."""
        ...


def described(
    sampler: Sampler,
    probs: torch.Tensor,
    features: np.ndarray | None,
    unit_map: np.ndarray,
    n_units: int,
) -> np.ndarray | None:
    """What the rows of a sample carry as features: a sampler's own `describe`, or their features.

    Args:
        sampler: With or without a method `describe(probs, features, unit_map, n_units)`.
        probs: (C, H, W) probabilities.
        features: (R, D) mean features of the units, None where the sampler needs none.
        unit_map: (H, W) unit ids.
        n_units: Number of units R.
    """
    describe = getattr(sampler, 'describe', None)
    return features if describe is None else describe(probs, features, unit_map, n_units)


@SAMPLERS.register
class TopK:
    """The highest scores; ties in seeded random order."""

    needs: ClassVar[frozenset[str]] = frozenset()
    observes: ClassVar[frozenset[str]] = frozenset({'pool'})

    def __call__(
        self,
        rows: ElementRows,
        labelled: np.ndarray,
        spend: np.ndarray,
        amount: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        return take(by_score(rows.score, ~labelled, rng), spend, amount)


@SAMPLERS.register
class RandomOrder:
    """Uniformly random among the candidates, whatever their score."""

    needs: ClassVar[frozenset[str]] = frozenset()
    observes: ClassVar[frozenset[str]] = frozenset({'pool'})

    def __call__(
        self,
        rows: ElementRows,
        labelled: np.ndarray,
        spend: np.ndarray,
        amount: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        return take(rng.permutation(np.flatnonzero(~labelled)), spend, amount)


class FeatureSampler:
    """What samplers share that look at features: they pick until the budget is used up."""

    needs: ClassVar[frozenset[str]] = frozenset({'features'})
    observes: ClassVar[frozenset[str]] = frozenset({'pool', 'labelled'})

    def _pick(
        self, features: np.ndarray, labelled: np.ndarray, n: int, rng: np.random.Generator
    ) -> np.ndarray:
        raise NotImplementedError

    def __call__(
        self,
        rows: ElementRows,
        labelled: np.ndarray,
        spend: np.ndarray,
        amount: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        if rows.features is None:
            raise ValueError(f'Expected rows with features for {type(self).__name__}, but got none')
        order = np.zeros(0, np.int64)
        closed = labelled.copy()
        # How many units fit is known only when they are picked: pick as many as fit on average,
        # then go on from there until the budget is used up.
        while not closed.all():
            left = amount - spend[order].sum()
            mean = spend[~closed].mean()
            n = int(np.clip(np.ceil(left / mean) if mean > 0 else 1, 1, (~closed).sum()))
            more = self._pick(rows.features, closed, n, rng)
            order = np.concatenate([order, more])
            closed[more] = True
            kept = take(order, spend, amount)
            if len(kept) < len(order):
                return kept
        return order


@SAMPLERS.register
class KCenter(FeatureSampler):
    """Core-set: always the row farthest from everything labelled (Sener and Savarese 2018).

    Args:
        metric: `euclidean` or `cosine`.
    """

    def __init__(self, metric: str = 'euclidean') -> None:
        if metric not in ('euclidean', 'cosine'):
            raise ValueError(f"Expected `metric` to be 'euclidean' or 'cosine', but got {metric!r}")
        self.metric = metric

    def _pick(
        self, features: np.ndarray, labelled: np.ndarray, n: int, rng: np.random.Generator
    ) -> np.ndarray:
        return F.k_center_greedy(features, labelled, n, metric=self.metric, rng=rng)


@SAMPLERS.register
class KMeansPlusPlus(FeatureSampler):
    """Rows drawn by squared distance to what is labelled (Arthur and Vassilvitskii 2007)."""

    def _pick(
        self, features: np.ndarray, labelled: np.ndarray, n: int, rng: np.random.Generator
    ) -> np.ndarray:
        return F.kmeans_pp(features, labelled, n, rng=rng)
