"""Weighted k-means: centres are weighted means, every row is with its nearest centre."""

import numpy as np
import pytest

from dense_al.acquisition.functional.kmeans import weighted_kmeans


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_fixed_point(dtype):
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(400, 3)).astype(dtype), rng.random(400) ** 3
    centres, cluster = weighted_kmeans(x, weight, 7, rng=np.random.default_rng(1))
    assert centres.dtype == dtype and cluster.dtype == np.int64
    for c in range(7):
        mean = np.average(x[cluster == c], axis=0, weights=weight[cluster == c])
        np.testing.assert_allclose(centres[c], mean, atol=0.05)
    nearest = ((x[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == cluster).mean() > 0.98


def test_batches_find_blobs():
    rng = np.random.default_rng(0)
    label = rng.integers(5, size=20_000)
    x = rng.normal(size=(20_000, 2)) + 50 * label[:, None]
    _, cluster = weighted_kmeans(x, None, 5, minibatch=True, rng=rng)
    assert len(np.unique(np.stack([label, cluster], axis=1), axis=0)) == 5


def test_no_weight_is_equal_weight():
    x = np.random.default_rng(0).normal(size=(50, 2))
    runs = [
        weighted_kmeans(x, w, 4, rng=np.random.default_rng(2))[1]
        for w in (None, np.zeros(50), np.full(50, 1e300))
    ]
    assert (runs[0] == runs[1]).all() and (runs[0] == runs[2]).all()


def test_fewer_different_rows_than_clusters(recwarn):
    centres, cluster = weighted_kmeans(np.ones((6, 2)), None, 3, rng=np.random.default_rng(0))
    assert np.isfinite(centres).all() and set(cluster) <= {0, 1, 2}
    assert not recwarn.list


@pytest.mark.parametrize(
    'change, message',
    [
        ({'n_clusters': 0}, r'`n_clusters` in \[1, 3\], but got 0'),
        ({'n_clusters': 4}, r'`n_clusters` in \[1, 3\], but got 4'),
        ({'weight': [1, 2]}, r'but got \(3, 2\) and \(2,\)'),
        ({'features': np.ones(3)}, r'`features` \(N, D\)'),
        ({'features': np.full((3, 2), np.nan)}, 'finite `features`'),
        ({'weight': [1, 1, -1]}, '`weight` to be finite and at least 0'),
    ],
)
def test_errors(change, message):
    given = dict(features=np.eye(3, 2), weight=None, n_clusters=2, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=message):
        weighted_kmeans(**given | change)
