"""ReDAL's region scores and order against published outputs and the walk written out."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from dense_al.acquisition.base import take
from dense_al.acquisition.functional import diversity_aware_order, entropy, region_mean

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


def load(name, case):
    path = GOLDEN / name / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    return np.load(path, allow_pickle=False)


@pytest.mark.parametrize('case', range(3))
def test_golden_scores(case):
    z = load('redal_region_scores', case)
    # The released entropy is the mean over the classes, in bits.
    unsure = entropy(z['probs'].astype(np.float64)) / np.log(2) / z['probs'].shape[1]
    score = z['alpha'] * unsure + z['gamma'] * z['curvature']
    found = region_mean(score, z['regions'], len(z['region_scores']))
    np.testing.assert_allclose(found, z['region_scores_f64'], rtol=1e-9)
    np.testing.assert_allclose(found, z['region_scores'], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('case', range(3))
def test_golden_order(case):
    z = load('redal_diversity_order', case)
    rows = np.flatnonzero(z['state'] == 0)
    score, cluster = z['scores'][rows], z['clusters'][rows]
    decay = float(z['decay'])
    order = rows[diversity_aware_order(score, cluster, decay=decay, trim=float(z['trim_rate']))]
    np.testing.assert_array_equal(order, z['order'])
    taken = take(order, z['size'], float(z['budget_points']))
    np.testing.assert_array_equal(np.sort(taken), z['selected'])
    slip = diversity_aware_order(score, cluster, decay=decay, paper_compat=True)
    np.testing.assert_array_equal(rows[slip], z['order_redal_repo'])


def walk(score, cluster, decay, trim=1.0, slip=False):
    """One row after the other, with a factor kept per cluster."""
    best = sorted(range(len(score)), key=lambda i: (-score[i], i))[: int(trim * len(score))]
    factor, worth = dict.fromkeys(cluster, 1.0), {}
    for i, row in enumerate(best):
        target = i if slip else row
        worth[target] = score[target] * factor[cluster[row]]
        factor[cluster[row]] *= decay
    # Sums of logarithms and products round differently: ties up to rounding are ties.
    return sorted(worth, key=lambda row: (-round(worth[row], 12), row if slip else best.index(row)))


@pytest.mark.parametrize('seed', range(5))
def test_order_is_the_walk(seed):
    rng = np.random.default_rng(seed)
    score = rng.random(80).tolist()
    cluster = rng.integers(-3, 4, 80).tolist()
    for decay, trim in ((0.95, 1.0), (0.5, 0.4), (1.0, 1.0)):
        found = diversity_aware_order(score, cluster, decay=decay, trim=trim)
        assert found.dtype == np.int64
        assert found.tolist() == walk(score, cluster, decay, trim)
    found = diversity_aware_order(score, cluster, paper_compat=True)
    assert found.tolist() == walk(score, cluster, 0.95, slip=True)


def test_large_cluster_keeps_its_order():
    score = np.linspace(1, 0.5, 20_000)
    order = diversity_aware_order(score, np.zeros(20_000, int), decay=0.5)
    assert order.tolist() == list(range(20_000))


def test_ties_and_zeros():
    assert diversity_aware_order([0.0, 1.0, 0.0, 1.0], [0, 0, 1, 1]).tolist() == [1, 3, 0, 2]
    assert diversity_aware_order([], []).shape == (0,)
    assert diversity_aware_order(np.ones(100), np.arange(100), trim=0.29).tolist() == [*range(29)]


def test_many_regions_are_ranked_in_seconds():
    rng = np.random.default_rng(0)
    score, cluster = rng.random(400_000), rng.integers(150, size=400_000)
    start = time.process_time()
    order = diversity_aware_order(score, cluster)
    assert time.process_time() - start < 10  # 0.1 s alone; a search per region takes minutes
    assert len(np.unique(order)) == 400_000


@pytest.mark.parametrize(
    'change, message',
    [
        ({'score': [0.1, -0.1]}, 'at least 0, but got values from -0.1 to 0.1'),
        ({'score': [0.1, np.nan]}, 'finite'),
        ({'score': [0.1, np.inf]}, 'finite'),
        ({'cluster': [0]}, r'`score` and `cluster` \(N,\), but got \(2,\) and \(1,\)'),
        ({'cluster': [0.0, 1.0]}, '`cluster` to be integers, but got float64'),
        ({'decay': 0.0}, r'`decay` in \(0, 1\], but got 0.0'),
        ({'trim': 1.5}, r'`trim` in \(0, 1\], but got 1.5'),
        ({'trim': 0.5, 'paper_compat': True}, '`trim` 1 with `paper_compat`'),
    ],
)
def test_order_errors(change, message):
    with pytest.raises(ValueError, match=message):
        diversity_aware_order(**{'score': [0.1, 0.2], 'cluster': [0, 1]} | change)
