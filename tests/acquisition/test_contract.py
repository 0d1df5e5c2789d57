"""Every acquisition passes the contract; a new one adds a class of two lines."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dense_al.acquisition import Composed, DensityAware, DomainClassifier, KMeansPlusPlus
from dense_al.acquisition.composed import unit_categories, unit_features
from dense_al.registry import ACQUISITIONS, ConfigError
from dense_al.structures import ElementRows, SegPrediction
from dense_al.testing.contract import AcquisitionContract
from dense_al.testing.stub import GridUnits, StubTask

GRID = dict(type='Grid', size=4)


class TestRandom(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, score=dict(type='Random'))


class TestRandomAmongFeatures(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, score='Random', sampler='KMeansPlusPlus')


class TestRandomByClass(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, score='Random', weight='class')


class TestEntropy(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, score=dict(type='Entropy'))


class TestMarginOfTopPixels(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, score='Margin', aggregate=dict(type='TopKMean', k=3))


class TestLeastConfidenceClassWeighted(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, score='LeastConfidence', weight='class', aggregate='max')


class TestKCenter(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, sampler=dict(type='KCenter'))


class TestKMeansPlusPlus(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, sampler=dict(type='KMeansPlusPlus'))


class TestDiversityAware(AcquisitionContract):
    def acquisition(self):
        return Composed(
            unit=GRID, score='Entropy', sampler=dict(type='DiversityAware', n_clusters=5)
        )


class TestClue(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, score='Entropy', sampler='Clue')


class TestBadge(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, sampler='Badge')


class TestBoundaryQuota(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, sampler='BoundaryQuota')


class TestRIPU(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, score=dict(type='RIPU', radius=2))


class TestClassBalancedBvSB(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, score='BestVersusSecondBest', weight='rarity')


class WithSource(AcquisitionContract):
    """Six samples more, of the source domain, are given along and never asked."""

    def select(self, rows, budget=None, ledger=None, seed=0):
        task = StubTask(n_samples=12)
        units, acquisition = GridUnits(task.manifest), self.acquisition()
        source = [
            acquisition.observe(SegPrediction(sample, *seen), sample, units)
            for sample, seen in ((s, self.seen(task, s)) for s in range(6, 12))
        ]
        rows = replace(rows, category=np.maximum(rows.category, 0))
        rows = ElementRows.concatenate([*source, rows])
        query = super().select(rows, budget, ledger, seed)
        assert (query.sample < 6).all()
        return query

    def seen(self, task, sample):
        """Probabilities of any model, and features that lie elsewhere than those of the target."""
        features = np.moveaxis(task.features[sample], -1, 0)
        probs = np.exp(np.stack([*features, *-features]))
        return [
            torch.from_numpy(array.astype(np.float32))
            for array in (probs / probs.sum(0), features + 1)
        ]

    def given(self, budget, ledger=None, seed=0):
        # In this round half of the budget goes to the density, which knows no ties.
        return replace(super().given(budget, ledger, seed), n_pool=6, round_number=1)


class TestDensityAware(WithSource):
    def acquisition(self):
        return DensityAware(unit=GRID, min_rows=4)


class TestDensityAwareAsReleased(WithSource):
    def acquisition(self):
        return DensityAware(unit=GRID, paper_compat=True)


class TestDomainClassifier(WithSource):
    def acquisition(self):
        return DomainClassifier(unit=GRID)


class TestClassMixtures(AcquisitionContract):
    def acquisition(self):
        return Composed(unit=GRID, sampler=dict(type='ClassMixtures'))


def test_class_mixtures_by_hand():
    from dense_al.acquisition import ClassMixtures

    probs = np.random.default_rng(0).dirichlet(np.ones(3), (4, 4)).transpose(2, 0, 1)
    units = np.repeat([[0, 1]], 4, axis=0).repeat(2, axis=1)
    found = ClassMixtures().mixtures(torch.from_numpy(probs), units, 2).reshape(2, 3, 3)
    for unit in (0, 1):
        pixels = probs[:, :, 2 * unit : 2 * unit + 2].reshape(3, -1).T
        weight, predicted = -(pixels * np.log(pixels)).sum(1), pixels.argmax(1)
        for c in range(3):
            own = predicted == c
            expected = weight[own] @ pixels[own] / weight[own].sum() if own.any() else np.zeros(3)
            np.testing.assert_allclose(found[unit, c], expected, atol=1e-6)


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(scroe=1), r'Unknown key `acquisition.scroe`. Did you mean `score`'),
        (dict(score=dict(type='Entropie')), r'Unknown score `Entropie`.*`Entropy`'),
        (dict(sampler=dict(type='KCentre')), r'Unknown sampler `KCentre`.*`KCenter`'),
        (dict(sampler=dict(type='KCenter', metrik='x')), r'acquisition.sampler.metrik'),
        (dict(aggregate='meen'), r'Unknown aggregate `meen`'),
        (dict(aggregate=dict(type='TopKMean')), r'acquisition.aggregate.k`, which is required'),
        (dict(score=dict(type='RIPU', radius=-1)), r'`acquisition.score`.*`radius`.*got -1'),
        (
            dict(score=dict(type='RIPU', raduis=1)),
            r'acquisition.score.raduis`. Did you mean `radius`',
        ),
        (dict(score=dict(type='Entropy', weight=2)), r'Unknown key `acquisition.score.weight`'),
        (dict(sampler=dict(type='DiversityAware', decay=0)), r'`decay` in \(0, 1\]'),
        (dict(sampler=dict(type='DiversityAware', n_clusters=0)), r'`n_clusters`.*got 0'),
        (dict(weight='rare'), r"None, 'class' or 'rarity', but got 'rare'"),
        (dict(subset=1.5), r'acquisition.subset'),
        (dict(passes=0), r'`acquisition.passes` in \[1, inf\), but got 0'),
        (dict(type='Compozed'), r'Unknown acquisition `Compozed`.*`Composed`'),
    ],
)
def test_mistakes_in_the_config_name_the_field(change, message):
    cfg = dict(type='Composed', unit=GRID, score=dict(type='Entropy'))
    with pytest.raises(ConfigError, match=message):
        ACQUISITIONS.build({**cfg, **change}, 'acquisition')


@pytest.mark.parametrize(
    'change',
    [
        dict(type='DensityAware', unit=GRID, uncertainty='Random'),
        dict(type='DomainClassifier', unit=GRID, uncertainty='SurfaceVariation'),
        dict(type='PixelUncertainty', score='SurfaceVariation'),
    ],
)
def test_scores_of_something_else_than_pixels_are_refused(change):
    with pytest.raises(ConfigError, match='to be a score of pixels.*but got'):
        ACQUISITIONS.build(change, 'acquisition')


def test_most_frequent_class_by_hand():
    labels = np.array([[0, 2], [2, 1]], np.uint8)
    units = np.array([[0, 0], [0, 1]])
    assert unit_categories(labels, units, 2).tolist() == [2, 1]


def test_unit_features_cover_units_between_the_cells():
    features = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
    units = np.zeros((8, 8), np.int32)
    units[:, 4:] = 1
    units[7, 7] = 2  # holds no cell centre: takes the cell it lies in
    assert unit_features(features, units, 3).tolist() == [[1.0], [2.0], [3.0]]


class TestOwnDescription(AcquisitionContract):
    """A sampler that describes units in its own way, and inherits nothing."""

    class Sampler:
        needs = frozenset({'probs'})
        observes = frozenset({'pool'})

        def describe(self, probs, features, unit_map, n_units):
            assert features is None
            return unit_features(probs.cpu().numpy(), unit_map, n_units)

        def __call__(self, rows, labelled, spend, amount, rng):
            assert rows.features.shape[1] == 4
            return KMeansPlusPlus()(rows, labelled, spend, amount, rng)

    def acquisition(self):
        acquisition = Composed(unit=GRID, score='Entropy')
        acquisition.sampler = self.Sampler()
        return acquisition
