"""CLUE against weighted means of blobs and against k-means run to its end by hand."""

import time

import numpy as np
import pytest

from dense_al.acquisition.functional.clue import clue_select


def blobs(n_blobs=6, per_blob=40, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.permutation(n_blobs)[:, None] * 100.0 + rng.normal(size=(n_blobs, 3))
    label = np.repeat(np.arange(n_blobs), per_blob)
    return centres[label] + rng.normal(size=(len(label), 3)), label, rng.random(len(label))


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('minibatch', [False, True])
def test_one_row_of_each_blob_nearest_to_its_weighted_mean(dtype, minibatch):
    x, label, weight = blobs()
    rng = np.random.default_rng(1)
    picks = clue_select(x.astype(dtype), weight, 6, minibatch=minibatch, rng=rng)
    assert picks.dtype == np.int64
    mass = np.bincount(label, weight)
    assert label[picks].tolist() == np.argsort(-mass).tolist()  # heaviest first
    if not minibatch:
        for c in range(6):
            own = np.flatnonzero(label == c)
            mean = np.average(x[own], axis=0, weights=weight[own])
            nearest = own[((x[own] - mean) ** 2).sum(axis=1).argmin()]
            assert picks[label[picks] == c] == nearest


def test_weights_move_the_centre():
    x = np.array([[0.0], [1.0], [2.0], [100.0], [101.0]])
    rng = np.random.default_rng
    assert 2 in clue_select(x, [0.01, 0.01, 9, 1, 1], 2, rng=rng(0))
    assert 0 in clue_select(x, [9, 0.01, 0.01, 1, 1], 2, rng=rng(0))


def test_picks_lie_nearest_to_a_fixed_point_of_weighted_k_means():
    """Overlapping data: start from the picks' own clusters and iterate with plain loops."""
    rng = np.random.default_rng(3)
    x, weight = rng.normal(size=(300, 2)), rng.random(300) ** 2
    picks = clue_select(x, weight, 8, rng=np.random.default_rng(0))
    centres = x[picks]
    for _ in range(100):
        label = ((x[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        centres = np.stack(
            [np.average(x[label == c], axis=0, weights=weight[label == c]) for c in range(8)]
        )
    cost = (weight * ((x - centres[label]) ** 2).sum(axis=1)).sum()
    ours = (weight * ((x[:, None] - x[picks]) ** 2).sum(axis=2).min(axis=1)).sum()
    spread = np.random.default_rng(1)
    drawn = [
        (weight * ((x[:, None] - x[spread.choice(300, 8)]) ** 2).sum(axis=2).min(axis=1)).sum()
        for _ in range(200)
    ]
    assert ours < 1.3 * cost and ours < min(drawn)


def test_labelled_rows_are_left_out():
    x, _, weight = blobs()
    labelled = np.arange(len(x)) % 2 == 0
    moved = x.copy()
    moved[labelled] += 1e6
    picks = clue_select(x, weight, 6, labelled=labelled, rng=np.random.default_rng(0))
    assert not labelled[picks].any()
    # What is labelled plays no part at all.
    again = clue_select(moved, weight, 6, labelled=labelled, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(picks, again)


def test_reproducible_and_every_row_once():
    x, _, weight = blobs()
    for n in (0, 1, 100, len(x) - 1, len(x)):
        runs = [clue_select(x, weight, n, rng=np.random.default_rng(4)) for _ in range(2)]
        np.testing.assert_array_equal(*runs)
        assert len(np.unique(runs[0])) == n


def test_equal_rows_and_zero_weights():
    picks = {
        tuple(clue_select(np.ones((20, 2)), np.zeros(20), 5, rng=np.random.default_rng(s)).tolist())
        for s in range(5)
    }
    assert len(picks) == 5 and all(len(set(p)) == 5 for p in picks)


def test_global_random_state_is_untouched():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    clue_select(*blobs()[::2], 4, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_large_pool_is_quick():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100_000, 16)).astype(np.float32)
    start = time.process_time()
    picks = clue_select(x, rng.random(100_000), 1400, rng=rng)
    assert len(np.unique(picks)) == 1400
    assert time.process_time() - start < 120  # 2 s alone; a quadratic way takes minutes


@pytest.mark.parametrize(
    'change, message',
    [
        ({'features': np.ones(3)}, r'`features` \(N, D\) and `weight` \(N,\)'),
        ({'weight': np.ones(2)}, r'but got \(3, 2\) and \(2,\)'),
        ({'weight': [1, -1, 1]}, '`weight` to be finite and at least 0'),
        ({'weight': [1, np.nan, 1]}, '`weight` to be finite'),
        ({'features': np.full((3, 2), np.inf)}, 'finite `features`'),
        ({'n': 4}, 'at most 3'),
        ({'labelled': np.ones(3)}, r'`labelled` to be \(3,\) bool'),
    ],
)
def test_errors(change, message):
    given = dict(features=np.eye(3, 2), weight=np.ones(3), n=1, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=message):
        clue_select(**given | change)
