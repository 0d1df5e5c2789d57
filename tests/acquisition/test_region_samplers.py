"""Samplers of region-based methods against the functions and layers they stand for."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dense_al.acquisition import RIPU, Badge, BoundaryQuota, Clue, Composed, DiversityAware
from dense_al.acquisition import functional as F
from dense_al.acquisition.region_samplers import linear_head
from dense_al.structures import ElementRows, SegPrediction
from dense_al.testing.stub import GridUnits, StubTask

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[2].parent / 'shared' / 'golden')
)


def rows_of(features, score=None):
    n = len(features)
    return ElementRows.of_sample(
        0, np.zeros(n) if score is None else score, np.ones(n), features=features
    )


def call(sampler, rows, amount, labelled=None, seed=0):
    labelled = np.zeros(len(rows), bool) if labelled is None else labelled
    spend = rows.size.astype(float)
    return sampler(rows, labelled, spend, amount, np.random.default_rng(seed))


def encoded(sampler, probs, features):
    """Rows whose units are single pixels of an image one pixel high."""
    unit_map = np.arange(len(features))[None]
    maps = torch.tensor(np.asarray(probs, np.float32).T[:, None])
    return rows_of(sampler.encode(maps, np.asarray(features, np.float32), unit_map))


def head(n=400, c=5, d=12, seed=0):
    rng = np.random.default_rng(seed)
    features, weight, bias = rng.normal(size=(n, d)), rng.normal(size=(c, d)), rng.normal(size=c)
    logits = features @ weight.T + bias
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    return probs / probs.sum(axis=1, keepdims=True), features, weight, bias


def test_diversity_leaves_a_cluster_that_scores_slightly_higher():
    rng = np.random.default_rng(0)
    blob = np.repeat([0, 1, 2], 20)
    features = rng.normal(size=(60, 4)) + 50 * blob[:, None]
    score = np.where(blob == 0, 1.0, 0.9) - 0.001 * np.arange(60) / 60
    rows = rows_of(features, score)
    plain = call(DiversityAware(n_clusters=1, decay=0.9), rows, 12)
    assert (blob[plain] == 0).all()
    diverse = call(DiversityAware(n_clusters=3, decay=0.9), rows, 12)
    assert np.bincount(blob[diverse]).tolist() == [5, 4, 3]
    expected = F.diversity_aware_order(score, blob, decay=0.9)[:12]
    assert diverse.tolist() == expected.tolist()


def test_diversity_with_fewer_units_than_clusters_is_the_order_of_scores():
    score = np.random.default_rng(0).random(20)
    picks = call(DiversityAware(n_clusters=150), rows_of(np.zeros((20, 2)), score), 20)
    assert picks.tolist() == np.argsort(-score).tolist()


def test_clue_weighs_by_the_score_and_leaves_labelled_rows():
    rng = np.random.default_rng(1)
    blob = np.repeat([0, 1, 2], 20)
    features = rng.normal(size=(60, 4)) + 50 * blob[:, None]
    score = rng.random(60)
    labelled = np.arange(60) % 4 == 0
    picks = call(Clue(), rows_of(features, score), 3, labelled)
    assert sorted(blob[picks]) == [0, 1, 2] and not labelled[picks].any()
    for row in picks:
        own = np.flatnonzero((blob == blob[row]) & ~labelled)
        given = features[own].astype(np.float32)
        mean = np.average(given, axis=0, weights=score[own])
        assert row == own[((given - mean) ** 2).sum(axis=1).argmin()]


def test_badge_is_the_function_on_means_over_units():
    probs, features, *_ = head()
    sampler = Badge()
    rows = encoded(sampler, probs, features)
    assert rows.features.shape == (400, 1 + 5 + 12)
    shuffled = np.random.default_rng(3).permutation(400)
    rng = np.random.default_rng(3)
    rng.permutation(400)
    f32 = probs.astype(np.float32)[shuffled], features.astype(np.float32)[shuffled]
    expected = shuffled[F.badge_select(*f32, 20, rng=rng)]
    assert call(sampler, rows, 20, seed=3).tolist() == expected.tolist()


def test_encoded_means_over_units():
    task = StubTask(n_samples=1)
    rng = np.random.default_rng(0)
    probs = np.moveaxis(rng.dirichlet(np.ones(4), (16, 16)), -1, 0).astype(np.float32)
    features = rng.normal(size=(3, 16, 16)).astype(np.float32)
    prediction = SegPrediction(0, torch.tensor(probs), torch.tensor(features))
    rows = Composed(unit='Image', sampler='Badge').observe(
        prediction, 0, GridUnits(task.manifest, 4)
    )
    cell = np.s_[:, 4:8, 8:12]
    expected = [4, *probs[cell].mean((1, 2)), *features[cell].mean((1, 2))]
    np.testing.assert_allclose(rows.features[6], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('case', range(2))  # the third has fewer digits than its logits
def test_golden_boundary_quota_without_knowing_the_head(case):
    path = GOLDEN / 'boundary_distance' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    z = np.load(path, allow_pickle=False)
    logits = z['features'].astype(float) @ z['W'].T.astype(float) + z['b']
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    sampler = BoundaryQuota()
    picks = call(sampler, encoded(sampler, probs, z['features']), int(z['budget']))
    assert sorted(picks.tolist()) == sorted(z['selected'].tolist())


def test_head_from_probabilities():
    probs, features, weight, bias = head()
    logs = np.log(probs)
    found = linear_head(features, logs - logs.mean(axis=1, keepdims=True))
    np.testing.assert_allclose(found[0], weight - weight.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(found[1], bias - bias.mean(), atol=1e-9)


def test_boundary_quota_takes_turns():
    probs, features, weight, bias = head()
    sampler = BoundaryQuota()
    rows = encoded(sampler, probs, features)
    picks = call(sampler, rows, 50)
    exact = F.boundary_quota(F.boundary_distance(features, weight, bias), 50)
    assert sorted(picks.tolist()) == sorted(exact.tolist())
    # Class by class in the function, one of each class in turn here.
    assert picks[:5].tolist() == exact[::10].tolist()


def test_rows_that_were_not_encoded():
    rows = rows_of(np.full((9, 6), 7.0))
    for sampler in (Badge(), BoundaryQuota()):
        with pytest.raises(ValueError, match='encoded by .*, but got 6 columns for 7 classes'):
            call(sampler, rows, 3)
    with pytest.raises(ValueError, match='rows with features for DiversityAware'):
        call(DiversityAware(2), ElementRows.of_sample(0, np.zeros(9), np.ones(9)), 3)


def test_ripu_is_the_mean_of_its_map():
    task = StubTask(n_samples=1)
    probs = torch.tensor(
        np.moveaxis(np.random.default_rng(0).dirichlet(np.ones(4), (16, 16)), -1, 0)
    ).float()
    rows = Composed(unit='Image', score=RIPU(radius=2)).observe(
        SegPrediction(0, probs), 0, GridUnits(task.manifest, 4)
    )
    expected = F.ripu_score(probs.numpy(), 2)[4:8, 8:12].mean()
    assert rows.score[6] == pytest.approx(expected, rel=1e-5)


def test_rarity_prefers_classes_that_are_predicted_seldom():
    rows = ElementRows.of_sample(
        0, np.full(10, 0.5), np.ones(10), category=np.array([0] * 8 + [1] * 2)
    )
    acquisition = Composed(unit='Image', score='BestVersusSecondBest', weight='rarity')
    given = SelectionStub(rows)
    assert set(acquisition.select(rows, given).unit.tolist()) == {8, 9}


class SelectionStub:
    """Two units of budget, nothing asked yet."""

    n_classes = 2
    amount = 2.0
    ask_declined_again = False

    def __init__(self, rows):
        self.rng = np.random.default_rng(0)
        self.ledger = self

    def asked(self, kind, rows, again):
        return np.zeros(len(rows), bool)

    def labelled(self, kind, rows):
        return np.zeros(len(rows), bool)

    def spend(self, kind, rows):
        return np.ones(len(rows))
