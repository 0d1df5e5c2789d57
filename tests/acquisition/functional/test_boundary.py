"""Boundary distances and the quota against published outputs and projections found by search."""

import os
from pathlib import Path

import numpy as np
import pytest

from dense_al.acquisition.functional.boundary import boundary_distance, boundary_quota

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


def load(case):
    path = GOLDEN / 'boundary_distance' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    return np.load(path, allow_pickle=False)


def head(n=40, d=5, c=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(c, d)), rng.normal(size=c)


@pytest.mark.parametrize('case', range(3))
def test_golden(case):
    z = load(case)
    r = boundary_distance(z['features'], z['W'], z['b'])
    assert r.dtype == np.float64
    np.testing.assert_allclose(r, z['r_f64'], rtol=1e-9)
    np.testing.assert_allclose(r, z['r'], rtol=1e-4)
    np.testing.assert_allclose(r.min(axis=1), z['min_margin_f64'], rtol=1e-9)
    np.testing.assert_array_equal(np.isinf(r).argmax(axis=1), z['predictions'])
    np.testing.assert_array_equal(boundary_quota(r, int(z['budget'])), z['selected'])


def test_moving_by_the_distance_reaches_the_boundary():
    x, w, b = head()
    r = boundary_distance(x, w, b)
    logits = x @ w.T + b
    for i in range(len(x)):
        p = int(logits[i].argmax())
        for c in range(len(w)):
            if c == p:
                assert np.isinf(r[i, c])
                continue
            step = (w[c] - w[p]) / np.sqrt(((w[c] - w[p]) ** 2).sum())
            moved = w @ (x[i] + r[i, c] * step) + b
            assert moved[c] == pytest.approx(moved[p], abs=1e-9)


def test_rescaling_the_head_changes_nothing():
    x, w, b = head(seed=1)
    r = boundary_distance(x, w, b)
    np.testing.assert_allclose(boundary_distance(x, 7 * w, 7 * b), r, rtol=1e-9)
    np.testing.assert_allclose(boundary_distance(x, w + 1, b + 2), r, rtol=1e-9)


def test_chunks_agree(monkeypatch):
    x, w, b = head(n=100)
    whole = boundary_distance(x, w, b)
    monkeypatch.setattr('dense_al.acquisition.functional.boundary._CHUNK', 7)
    np.testing.assert_allclose(boundary_distance(x, w, b), whole, rtol=1e-9)


def test_near_equal_classes_keep_their_precision():
    w = np.array([[1e4, 1.0], [1e4, 1.0 + 1e-6]])
    r = boundary_distance([[0.0, 3.0]], w, [0.0, 0.0])
    assert r[0, 0] == pytest.approx(3.0, rel=1e-6)


def test_equal_classes_have_no_boundary():
    x, w, b = head()
    b[1] = 2
    w[2], b[2] = w[1], b[1]
    r = boundary_distance(x, w, b)
    predicted = (x @ w.T + b).argmax(axis=1)
    assert not np.isnan(r).any()
    assert (predicted == 1).any() and np.isinf(r[predicted == 1][:, 2]).all()
    with pytest.raises(ValueError, match='exactly one infinite'):
        boundary_quota(r, 4)
    assert len(set(boundary_quota(r, 40, predictions=predicted).tolist())) == 40


def quota_by_sorting(r, budget):
    picks = []
    n, c = r.shape
    for k in range(c):
        take = len(range(k, budget, c))
        key = [(min(r[i]) if np.isinf(r[i, k]) else r[i, k], i) for i in range(n)]
        picks += [i for _, i in sorted(key) if i not in picks][:take]
    return picks


@pytest.mark.parametrize('budget', [0, 1, 3, 4, 17, 40])
def test_quota_brute_force(budget):
    r = boundary_distance(*head(seed=budget))
    assert boundary_quota(r, budget).tolist() == quota_by_sorting(r, budget)
    coarse = np.round(r)
    assert boundary_quota(coarse, budget).tolist() == quota_by_sorting(coarse, budget)


@pytest.mark.parametrize(
    'change, message',
    [
        ({'features': np.zeros((3, 4))}, r'`features` of shape \(N, 5\), but got \(3, 4\)'),
        ({'weight': np.zeros((1, 5)), 'bias': [0]}, r'`weight` of shape \(C >= 2, D\)'),
        ({'bias': np.zeros(3)}, r'`bias` of shape \(4,\), but got \(3,\)'),
        ({'features': np.full((3, 5), np.nan)}, 'finite `features`'),
        ({'weight': np.full((4, 5), np.inf)}, 'finite `weight`'),
    ],
)
def test_distance_errors(change, message):
    x, w, b = head()
    with pytest.raises(ValueError, match=message):
        boundary_distance(**({'features': x, 'weight': w, 'bias': b} | change))


def test_quota_errors():
    r = boundary_distance(*head())
    for arguments, message in (
        ((r[0], 1), '`distance` of shape'),
        ((r, 41), r'`budget` in \[0, 40\], but got 41'),
        ((r, -1), '`budget`'),
        ((np.where(np.isinf(r), np.inf, np.nan), 1), 'without NaN'),
        ((np.zeros((3, 2)), 1), 'but got 0'),
    ):
        with pytest.raises(ValueError, match=message):
            boundary_quota(*arguments)
    with pytest.raises(ValueError, match=r'`predictions` of shape \(40,\)'):
        boundary_quota(r, 1, predictions=[0])
    with pytest.raises(ValueError, match=r'`predictions` in \[0, 4\)'):
        boundary_quota(r, 1, predictions=np.full(40, 4))


def test_no_rows():
    assert boundary_distance(np.zeros((0, 2)), np.eye(2), np.zeros(2)).shape == (0, 2)
