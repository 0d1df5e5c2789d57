"""Scores of points by shape and by their surroundings."""

import numpy as np
import pytest
import torch

from dense_al.acquisition import Composed, SegmentEntropy, SurfaceVariation
from dense_al.acquisition import functional as F
from dense_al.registry import ConfigError
from dense_al.structures import SegPrediction


class Units:
    """One scan in two halves; counts how often its points are read."""

    def __init__(self, points):
        self._points, self.read = points, 0

    def points(self, sample, world=True):
        assert not world  # regions are made in the frame of the sensor
        self.read += 1
        return self._points

    def map(self, sample):
        n = len(self._points)
        return (np.arange(n) * 2 // n).astype(np.int32)[:, None]

    def sizes(self, sample):
        return np.bincount(self.map(sample).ravel())


def prediction(n, n_classes=3, seed=0):
    probs = np.random.default_rng(seed).dirichlet(np.ones(n_classes), n).astype(np.float32)
    return SegPrediction(0, torch.from_numpy(probs.T[..., None]))


def test_surface_variation_equals_a_loop():
    points = np.random.default_rng(0).normal(size=(60, 3)) * (3, 1, 0.3) + 500
    found = F.surface_variation(points, 8)
    for i in range(60):
        near = points[np.argsort(((points - points[i]) ** 2).sum(1))[:8]]
        values = np.linalg.eigvalsh(np.cov(near.T))
        assert found[i] == pytest.approx(values[0] / values.sum())


def test_planes_balls_and_few_points():
    rng = np.random.default_rng(0)
    plane = np.column_stack([rng.uniform(-1, 1, (300, 2)), np.zeros(300)])
    ball = rng.normal(size=(300, 3))
    assert F.surface_variation(plane, 20).max() < 1e-9
    assert F.surface_variation(ball, 300).mean() > 0.25
    assert F.surface_variation(np.zeros((4, 3)), 50).tolist() == [0, 0, 0, 0]
    assert F.surface_variation(np.zeros((1, 3)), 50).tolist() == [0]
    with pytest.raises(ValueError, match='finite'):
        F.surface_variation([[np.nan, 0, 0]])


def test_redal_is_a_weighted_sum_of_region_means():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 3)).astype(np.float32)
    units = Units(points)
    acquisition = Composed(
        unit=dict(type='Supervoxels'),
        score=[dict(type='Entropy'), dict(type='SurfaceVariation', weight=0.05 * np.log(2) * 3)],
    )
    seen = prediction(200)
    rows = acquisition.observe(seen, 0, units)
    surface_of = np.minimum(F.surface_variation(points, 50), 0.1)
    probs = seen.probs[..., 0].T.numpy().astype(np.float64)
    points_score = -(probs * np.log2(probs + 1e-12)).mean(axis=1) + 0.05 * surface_of
    published = F.region_mean(points_score, units.map(0).ravel(), 2)
    assert rows.score / rows.score[0] == pytest.approx(published / published[0], rel=1e-5)


def test_what_no_round_changes_is_computed_once():
    units = Units(np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32))
    acquisition = Composed(unit=dict(type='Supervoxels'), score='SurfaceVariation')
    first = acquisition.observe(prediction(200), 0, units)
    again = acquisition.observe(prediction(200, seed=1), 0, units)
    assert units.read == 1 and (first.score == again.score).all()


def test_segment_entropy_of_a_frame_is_the_mean_over_its_regions_by_size():
    points = np.random.default_rng(0).uniform(-9, 9, (500, 3)).astype(np.float32)
    score = SegmentEntropy(regions=dict(type='BalancedClusters', n_regions=5))
    seen = prediction(500)
    values = score.of_points(seen.probs, points)
    assert values.shape == (500, 1)
    regions = score.regions.map(points, np.eye(4))
    labels, total = seen.probs.argmax(0).ravel().numpy(), 0.0
    for region in range(5):
        share = np.bincount(labels[regions == region]) / (regions == region).sum()
        share = share[share > 0]
        total += -(share * np.log2(share)).sum() * (regions == region).mean()
    assert values.mean() == pytest.approx(total)


def test_mistakes_are_named():
    for score, message in (
        (dict(type='SurfaceVariation', neighbours=2), '`neighbours`'),
        (dict(type='SurfaceVariation', most=0), '`most`'),
        (dict(type='SegmentEntropy', regions='WorldCells'), 'regions of single scans'),
        (dict(type='SegmentEntropy', regions='Superpixels'), 'regions of single scans'),
    ):
        with pytest.raises(ConfigError, match=message):
            Composed(unit='Supervoxels', score=score)
    assert SurfaceVariation().neighbours == 50
