"""Samplers of region-based methods: clusters, gradient embeddings, decision boundaries."""

from typing import ClassVar

import numpy as np
import torch

from dense_al.acquisition import functional as F
from dense_al.acquisition.base import take
from dense_al.acquisition.samplers import FeatureSampler
from dense_al.registry import SAMPLERS
from dense_al.structures import ElementRows


@SAMPLERS.register
class DiversityAware:
    """By score, less each time a cluster of the features comes up again (ReDAL, Wu et al. 2021).

    As published only the best tenth of the units is clustered: `prefilter=0.1`.

    Args:
        n_clusters: Clusters of k-means, >= 1; every unit is one where there are fewer.
        decay: Factor on the score per repetition, in (0, 1].
    """

    needs: ClassVar[frozenset[str]] = frozenset({'features'})
    observes: ClassVar[frozenset[str]] = frozenset({'pool'})

    def __init__(self, n_clusters: int = 150, decay: float = 0.95) -> None:
        if not isinstance(n_clusters, int) or n_clusters < 1:
            raise ValueError(
                f'Expected `n_clusters` to be an integer of at least 1, but got {n_clusters!r}'
            )
        if not 0 < decay <= 1:
            raise ValueError(f'Expected `decay` in (0, 1], but got {decay!r}')
        self.n_clusters, self.decay = n_clusters, decay

    def __call__(
        self,
        rows: ElementRows,
        labelled: np.ndarray,
        spend: np.ndarray,
        amount: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        shuffled = rng.permutation(np.flatnonzero(~labelled))
        if self.n_clusters < len(shuffled):
            features = _features(self, rows)[shuffled]
            cluster = F.weighted_kmeans(features, None, self.n_clusters, rng=rng)[1]
        else:
            cluster = np.arange(len(shuffled))
        order = F.diversity_aware_order(rows.score[shuffled], cluster, decay=self.decay)
        return take(shuffled[order], spend, amount)


@SAMPLERS.register
class Clue:
    """Nearest to the centres of as many k-means clusters as picks, weighted by score.

    CLUE (Prabhu et al. 2021); the score has to be at least 0. Labelled rows play no part.
    """

    needs: ClassVar[frozenset[str]] = frozenset({'features'})
    observes: ClassVar[frozenset[str]] = frozenset({'pool'})

    def __call__(
        self,
        rows: ElementRows,
        labelled: np.ndarray,
        spend: np.ndarray,
        amount: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        return _CluePicks(rows.score)(rows, labelled, spend, amount, rng)


class _CluePicks(FeatureSampler):
    """Picks with the scores of one selection, until the budget is used up."""

    def __init__(self, score: np.ndarray) -> None:
        self.score = score

    def _pick(
        self, features: np.ndarray, labelled: np.ndarray, n: int, rng: np.random.Generator
    ) -> np.ndarray:
        return F.clue_select(features, self.score, n, labelled=labelled, rng=rng)


class ProbabilitySampler(FeatureSampler):
    """What samplers share that look at probabilities beside features.

    A row's features are the number of classes C, then C values of the classes, then the D features
    proper: O(C + D) numbers per unit, never their products.
    """

    needs: ClassVar[frozenset[str]] = frozenset({'probs', 'features'})
    observes: ClassVar[frozenset[str]] = frozenset({'pool'})

    def describe(
        self, probs: torch.Tensor, features: np.ndarray, unit_map: np.ndarray, n_units: int
    ) -> np.ndarray:
        """See `described`."""
        return self.encode(probs, features, unit_map)

    def encode(self, probs: torch.Tensor, features: np.ndarray, unit_map: np.ndarray) -> np.ndarray:
        """What the rows of a sample carry as features.

        Args:
            probs: (C, H, W) probabilities.
            features: (R, D) mean features of the units.
            unit_map: (H, W) unit ids.

        Returns:
            (R, 1 + C + D) float32.
        """
        values = self._of_pixels(probs)
        columns = [F.region_mean(v.cpu().numpy(), unit_map, len(features)) for v in values]
        count = np.full(len(features), len(columns))
        return np.column_stack([count, *columns, features]).astype(np.float32)

    def _of_pixels(self, probs: torch.Tensor) -> torch.Tensor:
        """(C, H, W) values of the classes, whose means over the units are kept."""
        return probs

    def _decode(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, C) means of the classes and (N, D) features of encoded rows."""
        count = int(rows[0, 0])
        if not (rows[:, 0] == count).all() or not 2 <= count < rows.shape[1] - 1:
            raise ValueError(
                f'Expected rows encoded by {type(self).__name__}, '
                f'but got {rows.shape[1]} columns for {count} classes'
            )
        return rows[:, 1 : 1 + count], rows[:, 1 + count :]


@SAMPLERS.register
class Badge(ProbabilitySampler):
    """k-means++ on gradient embeddings, which are long where the model is unsure (Ash et al. 2020).

    The embedding of a unit is the product of its mean residual `probs - onehot` and its mean
    features; the two are kept apart. Labelled rows are no centres, as published. Needs no score.
    """

    def _pick(
        self, features: np.ndarray, labelled: np.ndarray, n: int, rng: np.random.Generator
    ) -> np.ndarray:
        probs, inputs = self._decode(features)
        # Shuffled, so that the seed decides among equal embeddings.
        rows = rng.permutation(np.flatnonzero(~labelled))
        return rows[F.badge_select(probs[rows], inputs[rows], n, rng=rng)]


@SAMPLERS.register
class BoundaryQuota(ProbabilitySampler):
    """Nearest to the boundary of each class in turn, equally many per class (BASE, Emam et al.).

    Distances are lengths in the space of the features. The last layer is not part of a prediction,
    but it is linear, so logarithms of the probabilities are linear in the features up to a
    constant of each row: its weights follow from all rows by least squares, exactly where features
    and probabilities are means over the same pixels. Needs no score.
    """

    def _of_pixels(self, probs: torch.Tensor) -> torch.Tensor:
        logs = probs.clamp_min(torch.finfo(torch.float32).tiny).log()
        return logs - logs.mean(dim=0)

    def _pick(
        self, features: np.ndarray, labelled: np.ndarray, n: int, rng: np.random.Generator
    ) -> np.ndarray:
        logits, inputs = (part.astype(np.float64) for part in self._decode(features))
        weight, bias = linear_head(inputs, logits)
        rows = rng.permutation(np.flatnonzero(~labelled))
        predicted = (inputs[rows] @ weight.T + bias).argmax(axis=1)
        distance = F.boundary_distance(inputs[rows], weight, bias)
        picks = F.boundary_quota(distance, n, predictions=predicted)
        n_classes = len(weight)
        quota = [n // n_classes + (c < n % n_classes) for c in range(n_classes)]
        # Classes take turns, so that a budget that ends early cuts them alike.
        turns = np.split(rows[picks], np.cumsum(quota)[:-1])
        return F.weighted_round_robin(turns, np.ones(n_classes))


@SAMPLERS.register
class ClassMixtures(FeatureSampler):
    """Far apart in what the model confuses with what (CDAL, Agarwal et al. 2020).

    A unit is described by one mixture per class: the mean distribution of its pixels that are
    predicted as that class, unsure ones weighing more. Always the unit farthest from all labelled
    and chosen ones is next. Needs no score and no features of the model.
    """

    needs: ClassVar[frozenset[str]] = frozenset({'probs'})

    def describe(
        self, probs: torch.Tensor, features: None, unit_map: np.ndarray, n_units: int
    ) -> np.ndarray:
        """See `described`."""
        return self.mixtures(probs, unit_map, n_units)

    def mixtures(self, probs: torch.Tensor, unit_map: np.ndarray, n_units: int) -> np.ndarray:
        """What the rows of a sample carry as features.

        Args:
            probs: (C, H, W) probabilities.
            unit_map: (H, W) unit ids.
            n_units: Number of units R.

        Returns:
            (R, C * C) float32, row c of a unit's C x C table from its pixels predicted as c, 0
            where there is none.
        """
        n_classes = len(probs)
        entropy = -(probs * probs.clamp_min(1e-12).log()).sum(0)
        # A trace of weight for all, so that classes that are certain everywhere have a mixture.
        weight = entropy + 1e-9
        group = unit_map.ravel().astype(np.int64) * n_classes
        group += probs.argmax(0).cpu().numpy().ravel()
        sums = [
            F.region_sum((p * weight).cpu().numpy().ravel(), group, n_units * n_classes)
            for p in probs
        ]
        total = F.region_sum(weight.cpu().numpy().ravel(), group, n_units * n_classes)
        table = np.stack(sums, axis=1) / np.maximum(total, 1e-300)[:, None]
        return table.reshape(n_units, n_classes * n_classes).astype(np.float32)

    def _pick(
        self, features: np.ndarray, labelled: np.ndarray, n: int, rng: np.random.Generator
    ) -> np.ndarray:
        n_classes = int(round(features.shape[1] ** 0.5))
        tables = features.reshape(len(features), n_classes, n_classes).clip(0, 1)
        return F.cdal_select(tables, labelled, n, rng=rng)


def linear_head(features: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The linear layer that turns features into logits, by least squares.

    Args:
        features: (N, D) float64.
        logits: (N, C) float64, without their mean over the classes.

    Returns:
        (C, D) weights and (C,) bias, without their means over the classes; of several that fit
        (fewer rows than features) the smallest.

    >>> linear_head(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0, -1], [2, -2], [3, -3]]))[0]
    array([[ 1.],
           [-1.]])
    """
    centre = features.mean(axis=0)
    weight = np.linalg.lstsq(features - centre, logits - logits.mean(axis=0), rcond=None)[0].T
    return weight, logits.mean(axis=0) - weight @ centre


def _features(sampler: object, rows: ElementRows) -> np.ndarray:
    if rows.features is None:
        raise ValueError(f'Expected rows with features for {type(sampler).__name__}, but got none')
    return rows.features
