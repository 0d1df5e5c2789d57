"""k-means++ over groups and rows against a recorded run and plain loops."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from dense_al.acquisition.functional import products
from dense_al.acquisition.functional.kmeans_pp import grouped_kmeans_pp, kmeans_pp
from dense_al.acquisition.functional.products import CentredRows

module = sys.modules[kmeans_pp.__module__]
GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


class Recorded:
    """Stands for a generator; hands out recorded uniform numbers."""

    def __init__(self, uniform):
        self.rows = iter(uniform)

    def random(self, size):
        row = next(self.rows)
        assert len(row) == size
        return row


def load(case):
    path = GOLDEN / 'grouped_kmeans_pp' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    return np.load(path, allow_pickle=False)


def plain(features, groups, n_groups, seeds, uniform):
    """Every distance anew for every candidate."""
    x, chosen = np.asarray(features, float), list(seeds)
    members = {g: [i for i, other in enumerate(groups) if other == g] for g in set(groups)}

    def weights(names):
        rows = [i for g in names for i in members[g]]
        return [min(((row - x[i]) ** 2).sum() for i in rows) for row in x]

    for row in uniform[: n_groups - len(chosen)]:
        weight = weights(chosen)
        best, best_sum = None, np.inf
        for u in row:
            target, reached = u * sum(weight), 0.0
            i = -1
            while reached <= target:
                i += 1
                reached += weight[i]
            total = sum(weights([*chosen, groups[i]]))
            if total < best_sum:
                best, best_sum = groups[i], total
        chosen.append(best)
    return chosen


@pytest.mark.parametrize('case', range(3))
def test_golden(case, monkeypatch):
    z = load(case)
    weights, drawn, draw = [], [], module._draw

    def recorded(weight, uniform):
        weights.append(weight.sum())
        drawn.append(draw(weight, uniform))
        return drawn[-1]

    monkeypatch.setattr(module, '_draw', recorded)
    n, seeds, draws = int(z['n_groups']), z['seed_groups'], z['random_uniform']
    assert draws.shape[1] == 2 + int(np.log(n)) == int(z['n_trials'])
    found = grouped_kmeans_pp(z['features'], z['groups'], n, seed_groups=seeds, rng=Recorded(draws))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, z['selected_groups'])
    np.testing.assert_array_equal(drawn, z['candidates'])
    np.testing.assert_allclose(weights, z['potential'][:-1], rtol=1e-9)
    rows = np.concatenate([np.flatnonzero(z['groups'] == g) for g in found])
    np.testing.assert_array_equal(np.sort(rows), np.sort(z['centroid_rows']))


@pytest.mark.parametrize('seed', range(4))
def test_plain_loop(seed):
    rng = np.random.default_rng(seed)
    x, groups = rng.normal(size=(40, 3)) + 100, rng.integers(0, 12, size=40) * 7 - 3
    names = np.unique(groups)
    uniform = rng.random((7, 3))
    found = grouped_kmeans_pp(
        x, groups, 8, seed_groups=names[2:3], n_trials=3, rng=Recorded(uniform)
    )
    assert found.tolist() == plain(x, groups.tolist(), 8, names[2:3].tolist(), uniform)


@pytest.mark.parametrize('worth', [0, 1000])
def test_single_precision_agrees(monkeypatch, worth):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 16)).astype(np.float32) + 20
    groups = rng.integers(0, 60, size=300)
    exact = grouped_kmeans_pp(x, groups, 15, rng=np.random.default_rng(1))
    rows = kmeans_pp(x, groups == 3, 15, rng=np.random.default_rng(1))
    monkeypatch.setattr(products, 'EXACT_ENTRIES', 0)
    monkeypatch.setattr(products, 'WORTH_PACKING', worth)
    monkeypatch.setattr(products, '_BLOCK', 64)
    monkeypatch.setattr(module, '_CACHE_BYTES', 0)
    assert CentredRows(x).dtype == np.float32
    found = grouped_kmeans_pp(x, groups, 15, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(found, exact)
    found = kmeans_pp(x, groups == 3, 15, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(found, rows)


def test_zero_potential_fills_up():
    groups = np.repeat(np.arange(10), 2)
    found = [
        grouped_kmeans_pp(np.ones((20, 4)), groups, 7, rng=np.random.default_rng(s)).tolist()
        for s in (0, 0, 1)
    ]
    assert len(set(found[0])) == 7 and found[0] == found[1] != found[2]
    rows = kmeans_pp(np.ones((6, 2)), np.arange(6) < 2, 4, rng=np.random.default_rng(0))
    assert sorted(rows.tolist()) == [2, 3, 4, 5]


def test_distinct_places_come_before_duplicates():
    x = np.repeat(np.arange(5.0)[:, None] + 1000, 8, axis=0)
    for seed in range(5):
        picks = kmeans_pp(x, np.zeros(40, bool), 12, rng=np.random.default_rng(seed))
        assert len(set(picks.tolist())) == 12
        assert len(set(x[picks[:5], 0].tolist())) == 5


def test_far_rows_are_drawn_in_proportion():
    x, labelled = np.array([[0.0], [1.0], [2.0]]), np.array([True, False, False])
    rng = np.random.default_rng(0)
    drawn = [int(kmeans_pp(x, labelled, 1, n_trials=1, rng=rng)[0]) for _ in range(2000)]
    assert np.mean(np.array(drawn) == 2) == pytest.approx(0.8, abs=0.04)


def test_more_trials_spread_more():
    x = np.random.default_rng(0).normal(size=(400, 8))
    mask = np.zeros(400, bool)

    def left(trials, seed):
        picks = kmeans_pp(x, mask, 20, n_trials=trials, rng=np.random.default_rng(seed))
        return ((x[:, None] - x[picks]) ** 2).sum(axis=2).min(axis=1).sum()

    assert np.mean([left(8, s) for s in range(5)]) < np.mean([left(1, s) for s in range(5)])


def test_labelled_rows_are_never_drawn():
    rng = np.random.default_rng(0)
    x, labelled = rng.normal(size=(50, 3)), rng.random(50) < 0.5
    picks = kmeans_pp(x, labelled, int((~labelled).sum()), rng=rng)
    assert sorted(picks.tolist()) == np.flatnonzero(~labelled).tolist()
    assert kmeans_pp(x, labelled, 0, rng=rng).shape == (0,)


def test_groups_without_seed_and_all_of_them():
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(30, 3)), rng.integers(5, 11, size=30)
    found = grouped_kmeans_pp(x, groups, 6, rng=rng)
    assert sorted(found.tolist()) == np.unique(groups).tolist()
    assert grouped_kmeans_pp(x, groups, 0, rng=rng).shape == (0,)


def test_errors():
    x, groups, rng = np.zeros((4, 2)), np.array([1, 1, 2, 3]), np.random.default_rng(0)
    with pytest.raises(ValueError, match=r'in \[0, 3\] .* but got 4'):
        grouped_kmeans_pp(x, groups, 4, rng=rng)
    with pytest.raises(ValueError, match=r'in \[2, 3\] .* but got 1'):
        grouped_kmeans_pp(x, groups, 1, seed_groups=[1, 2], rng=rng)
    with pytest.raises(ValueError, match=r'unknown \[9\]'):
        grouped_kmeans_pp(x, groups, 2, seed_groups=[9], rng=rng)
    with pytest.raises(ValueError, match=r'distinct groups of rows, but got \[1, 1\]'):
        grouped_kmeans_pp(x, groups, 2, seed_groups=[1, 1], rng=rng)
    with pytest.raises(ValueError, match=r'\(4,\) integers, but got \(3,\)'):
        grouped_kmeans_pp(x, groups[:3], 2, rng=rng)
    with pytest.raises(ValueError, match='`n_trials` to be at least 1, but got 0'):
        grouped_kmeans_pp(x, groups, 2, n_trials=0, rng=rng)
    with pytest.raises(ValueError, match='finite `features`'):
        kmeans_pp(x + [[0, np.nan]], np.zeros(4, bool), 1, rng=rng)
    with pytest.raises(ValueError, match=r'at most 4 \(the rows not labelled\), but got 5'):
        kmeans_pp(x, np.zeros(4, bool), 5, rng=rng)


def test_a_group_may_be_chosen_for_its_gain_per_cost():
    # Seen from the seed at 0, the one in the middle gains most, a cheap one most per cost.
    features, groups = [[0.0], [10.0], [8.0], [11.0]], [0, 1, 2, 3]
    given = dict(seed_groups=[0], n_trials=40)
    dear = [1.0, 100.0, 1.0, 100.0]
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert grouped_kmeans_pp(features, groups, 2, costs=dear, rng=rng, **given)[1] == 2
        rng = np.random.default_rng(seed)
        assert grouped_kmeans_pp(features, groups, 2, rng=rng, **given)[1] == 1
    for costs in ([1.0, 1.0], [1.0, 0.0, 1.0, 1.0]):
        with pytest.raises(ValueError, match='4 finite `costs` above 0'):
            grouped_kmeans_pp(features, groups, 2, costs=costs, rng=np.random.default_rng(0))
