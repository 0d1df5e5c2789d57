"""BADGE on factors against published distances and embeddings written out."""

import os
from pathlib import Path

import numpy as np
import pytest

from dense_al.acquisition.functional import badge
from dense_al.acquisition.functional.badge import badge_select

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


def load(case):
    path = GOLDEN / 'badge_embedding_distance' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    return np.load(path, allow_pickle=False)


def data(n=30, c=4, d=5, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.random((n, c)) ** 3
    return p / p.sum(axis=1, keepdims=True), rng.normal(size=(n, d))


def embedding(probs, features):
    rows = []
    for p, z in zip(probs, features):
        top = max(range(len(p)), key=lambda c: (p[c], -c))
        rows.append([(p[c] - (c == top)) * value for c in range(len(p)) for value in z])
    return np.array(rows)


def distances(probs, features):
    """What `badge_select` measures, of all pairs."""
    a, z = badge._factors(probs, features)
    return badge._squared(a, z, badge._norms(a) * badge._norms(z), np.arange(len(z)))


@pytest.mark.parametrize('case', range(3))
def test_golden(case):
    z = load(case)
    expected = z['squared_distance']
    atol = 1e-9 * expected.max()
    found = distances(z['probs'], z['features'])
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)
    first = badge_select(z['probs'], z['features'], 1, rng=np.random.default_rng(0))
    assert first.tolist() == [int(z['first_pick'])]
    if 'embedding' in z:
        expected = embedding(z['probs'], z['features'])
        np.testing.assert_allclose(expected, z['embedding'], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('seed', range(3))
def test_written_out(seed):
    probs, features = data(seed=seed)
    g = embedding(probs, features)
    expected = ((g[:, None] - g) ** 2).sum(axis=2)
    found = distances(probs, features)
    np.testing.assert_allclose(found, expected, atol=1e-12 * expected.max())
    assert (np.diag(found) == 0).all() and (found >= 0).all()


def test_selection_follows_the_draws():
    probs, features = data(seed=4)
    g = embedding(probs, features)
    uniform = np.random.default_rng(9).random(9)
    picks = [int((g**2).sum(axis=1).argmax())]
    for u in uniform:
        weight = ((g[:, None] - g[picks]) ** 2).sum(axis=2).min(axis=1)
        picks.append(int(np.flatnonzero(np.cumsum(weight) > u * weight.sum())[0]))
    found = badge_select(probs, features, 10, rng=np.random.default_rng(9))
    assert found.dtype == np.int64 and found.tolist() == picks


def test_labelled_rows_are_never_picked():
    probs, features = data(seed=5)
    labelled = np.arange(30) % 3 == 0
    for trials in (1, 4):
        rng = np.random.default_rng(0)
        picks = badge_select(probs, features, 20, labelled=labelled, n_trials=trials, rng=rng)
        assert sorted(picks.tolist()) == np.flatnonzero(~labelled).tolist()


def test_sure_rows_come_last():
    probs = np.array([[1.0, 0.0]] * 5 + [[0.6, 0.4], [0.4, 0.6]])
    features = np.ones((7, 3))
    for seed in range(5):
        picks = badge_select(probs, features, 7, rng=np.random.default_rng(seed)).tolist()
        assert sorted(picks) == list(range(7)) and 6 in picks[:3] and 5 in picks[:3]
    assert badge_select(probs, features, 0, rng=np.random.default_rng(0)).shape == (0,)


def test_errors():
    probs, features = data()
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r'at most 30 \(the rows not labelled\), but got 31'):
        badge_select(probs, features, 31, rng=rng)
    with pytest.raises(ValueError, match='`n_trials` to be at least 1, but got 0'):
        badge_select(probs, features, 2, n_trials=0, rng=rng)
    with pytest.raises(ValueError, match=r'`probs` \(N, C\) and `features` \(N, D\)'):
        badge_select(probs[:5], features, 2, rng=rng)
    with pytest.raises(ValueError, match='at least 2 classes, but got 1'):
        badge_select(probs[:, :1], features, 2, rng=rng)
    with pytest.raises(ValueError, match='finite `features`'):
        badge_select(probs, features * np.nan, 2, rng=rng)
