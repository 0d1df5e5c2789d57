"""Greedy k-center against published picks and a plain float64 search."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dense_al.acquisition.functional.k_center import k_center_greedy

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


def load(case):
    path = GOLDEN / 'k_center_greedy' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    return np.load(path, allow_pickle=False)


def plain(features, labelled, n):
    """Distances to every centre anew for every pick; the lowest row of equals."""
    centres, picks = [i for i, known in enumerate(labelled) if known], []
    x = [np.asarray(row, float) for row in features]
    for _ in range(n):
        best, best_value = None, -1.0
        for i in range(len(x)):
            if i not in centres:
                value = min(((x[i] - x[c]) ** 2).sum() for c in centres)
                if value > best_value:
                    best, best_value = i, value
        centres.append(best)
        picks.append(best)
    return picks


@pytest.mark.parametrize('case', range(3))
def test_golden(case):
    z = load(case)
    for features in (z['features'], z['features'].astype(np.float64), torch.tensor(z['features'])):
        picks, radius = k_center_greedy(features, z['labelled'], int(z['n']), return_radius=True)
        assert picks.dtype == np.int64
        np.testing.assert_array_equal(picks, z['picks'])
        np.testing.assert_array_equal(np.sort(picks), z['picks_sorted'])
        np.testing.assert_allclose(radius, z['radius_at_pick'], rtol=1e-9)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('offset', [0, 1e3])
def test_plain_search(seed, offset):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(60, 3)) + offset).astype(np.float32)
    labelled = rng.random(60) < 0.1
    labelled[5] = True
    assert k_center_greedy(x, labelled, 20).tolist() == plain(x, labelled, 20)


@pytest.mark.parametrize('seed', range(4))
def test_ties_go_to_the_lowest_row(seed):
    x = np.random.default_rng(seed).integers(0, 4, size=(50, 2)).astype(np.float32) / 3
    labelled = np.arange(50) == 7
    assert k_center_greedy(x, labelled, 49).tolist() == plain(x, labelled, 49)
    assert k_center_greedy(np.eye(6), np.arange(6) == 2, 5).tolist() == [0, 1, 3, 4, 5]


def test_rng_breaks_ties():
    x, labelled = np.eye(8), np.arange(8) == 0
    orders = {
        tuple(k_center_greedy(x, labelled, 7, rng=np.random.default_rng(s)).tolist())
        for s in range(5)
    }
    assert len(orders) > 1 and all(sorted(o) == list(range(1, 8)) for o in orders)
    again = [k_center_greedy(x, labelled, 7, rng=np.random.default_rng(3)) for _ in range(2)]
    np.testing.assert_array_equal(*again)


def test_near_duplicates_of_labelled_rows_come_last():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(20, 64)).astype(np.float32) + 50
    x = np.concatenate([base, base, np.nextafter(base, np.float32(np.inf)), base + 0.3])
    labelled = np.arange(80) < 20
    picks, radius = k_center_greedy(x, labelled, 60, return_radius=True)
    assert np.isfinite(radius).all() and (np.diff(radius) <= 1e-9).all()
    assert set(picks[:20].tolist()) == set(range(60, 80))
    assert set(picks[40:].tolist()) == set(range(20, 40))
    np.testing.assert_array_equal(radius[40:], 0)


def test_outlier_does_not_blur_the_others():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 4))
    x[17] *= 1e5
    labelled = np.arange(300) == 3
    assert k_center_greedy(x, labelled, 20).tolist() == plain(x, labelled, 20)


def test_permutation_and_scale():
    rng = np.random.default_rng(2)
    x, labelled = rng.normal(size=(100, 5)), np.arange(100) < 3
    picks = k_center_greedy(x, labelled, 30)
    order = rng.permutation(100)
    permuted = k_center_greedy(x[order], labelled[order], 30)
    np.testing.assert_array_equal(order[permuted], picks)
    for scale in (1e-25, 1e25):
        np.testing.assert_array_equal(k_center_greedy(x * scale, labelled, 30), picks)


def test_cosine():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 3)) * rng.uniform(0.1, 50, size=(40, 1))
    labelled = np.arange(40) == 0
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = plain(unit, labelled, 15)
    assert k_center_greedy(x, labelled, 15, metric='cosine').tolist() == expected
    tensor = torch.from_numpy(x)
    assert k_center_greedy(tensor, labelled, 15, metric='cosine').tolist() == expected
    for zeros in (np.zeros((2, 3)), torch.zeros(2, 3)):
        with pytest.raises(ValueError, match='no row of zeros'):
            k_center_greedy(zeros, [True, False], 1, metric='cosine')


def test_nothing_labelled():
    x = np.random.default_rng(4).normal(size=(30, 2))
    far = int(((x - x.mean(axis=0)) ** 2).sum(axis=1).argmax())
    picks, radius = k_center_greedy(x, np.zeros(30, bool), 5, return_radius=True)
    assert picks[0] == far and radius[0] == np.inf
    assert picks[1:].tolist() == plain(x, np.arange(30) == far, 4)
    firsts = {
        int(k_center_greedy(x, np.zeros(30, bool), 1, rng=np.random.default_rng(s))[0])
        for s in range(8)
    }
    assert len(firsts) > 2


def test_many_labelled_rows_and_a_memory_map(tmp_path):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(5000, 8)).astype(np.float32)
    labelled = rng.random(5000) < 0.5
    np.save(tmp_path / 'x.npy', x)
    mapped = np.load(tmp_path / 'x.npy', mmap_mode='r')
    picks, radius = k_center_greedy(mapped, labelled, 3, return_radius=True)
    rows = np.flatnonzero(~labelled)
    distance = np.array([((x[r].astype(float) - x[labelled]) ** 2).sum(axis=1).min() for r in rows])
    assert picks[0] == rows[distance.argmax()]
    assert radius[0] == pytest.approx(np.sqrt(distance.max()))


def test_everything_and_nothing():
    x, none = np.random.default_rng(6).normal(size=(9, 2)), np.zeros(9, bool)
    assert sorted(k_center_greedy(x, none, 9).tolist()) == list(range(9))
    assert k_center_greedy(x, none, 0).shape == (0,)
    assert k_center_greedy(np.ones((5, 3)), np.zeros(5, bool), 5).tolist() == list(range(5))


def test_errors():
    x, labelled = np.zeros((4, 2)), np.array([True, False, False, False])
    with pytest.raises(ValueError, match=r'at most 3 \(the rows not labelled\), but got 5'):
        k_center_greedy(x, labelled, 5)
    with pytest.raises(ValueError, match='`n` to be at least 0, but got -1'):
        k_center_greedy(x, labelled, -1)
    with pytest.raises(ValueError, match=r'`labelled` to be \(4,\) bool'):
        k_center_greedy(x, [0, 1, 2], 1)
    with pytest.raises(ValueError, match="'euclidean' or 'cosine', but got 'l1'"):
        k_center_greedy(x, labelled, 1, metric='l1')
    with pytest.raises(ValueError, match=r'shape \(N, D\), but got \(4,\)'):
        k_center_greedy(x[:, 0], labelled, 1)
    for bad in (np.nan, np.inf, -np.inf):
        x[2, 1] = bad
        for features in (x, torch.from_numpy(x)):
            with pytest.raises(ValueError, match='finite `features`'):
                k_center_greedy(features, labelled, 1)
