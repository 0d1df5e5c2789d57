"""D2ADA's scores per class and its order against published outputs and plain loops."""

import os
from pathlib import Path

import numpy as np
import pytest

from dense_al.acquisition.functional import class_density as module
from dense_al.acquisition.functional.class_density import category_density, density_order
from dense_al.acquisition.functional.density import density_ratio

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


def world(source_sizes, target_sizes, d=16, seed=0):
    """Correlated, clipped features of the same three modes in every class of both domains."""
    shape = np.random.default_rng(99)
    mixing, centres = shape.normal(size=(d, d)) / np.sqrt(d), shape.normal(size=(3, d)) * 2
    rng = np.random.default_rng(seed)

    def draw(sizes):
        noise = rng.normal(size=(sum(sizes), d)) @ mixing
        rows = np.maximum(centres[rng.integers(3, size=sum(sizes))] + noise, 0)
        return rows, np.repeat(np.arange(len(sizes)), sizes)

    return (*draw(source_sizes), *draw(target_sizes))


@pytest.mark.parametrize('case', range(3))
def test_golden(case):
    path = GOLDEN / 'density_ratio' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    z = np.load(path, allow_pickle=False)
    classes = [np.zeros(len(z[k]), int) for k in ('source', 'target')]
    found = category_density(
        z['source'], classes[0], z['target'], classes[1], n_classes=2, paper_compat=True
    )
    np.testing.assert_allclose(-found.score, z['diff'], rtol=1e-7)
    assert found.divergence[0] == pytest.approx(float(z['abs_mean']), rel=1e-7)
    assert found.weights.tolist() == [int(z['class_weight']), 0]


@pytest.mark.parametrize('seed', range(3))
def test_weights_do_not_measure_scarcity(seed):
    sizes = [50, 500, 5000, 5, 5000, 50, 0, 300]
    other = [50, 500, 5000, 5, 50, 5000, 300, 1]
    source, a, target, b = world(sizes, other, seed=seed)
    found = category_density(source, a, target, b, n_classes=9)
    assert np.isfinite(found.score).all()
    assert (found.divergence[:6] < 1.5).all()
    assert np.ptp(found.weights[:6]) <= 1
    assert found.weights.dtype == np.int64 and found.divergence[8] == 0 and found.weights[8] == 1


def test_released_weights_do():
    pytest.importorskip('sklearn')
    source, target = np.random.default_rng(0).normal(size=(2, 3050, 64))
    category = np.repeat([0, 1], [50, 3000])
    found = category_density(source, category, target, category, n_classes=2, paper_compat=True)
    assert found.divergence[0] > 10 * found.divergence[1]


def test_shifted_classes_are_found_whatever_their_size():
    sizes = [60, 500, 3000, 60, 500, 3000]
    source, a, target, b = world(sizes, sizes)
    target[b >= 3] += 0.5
    found = category_density(source, a, target, b, n_classes=6)
    assert (found.weights[:3] == 1).all() and (found.weights[3:] >= 2).all()
    assert found.divergence[3:].min() > 3 * found.divergence[:3].max()


def test_scores_are_ratios_within_the_class():
    source, a, target, b = world([200, 150], [300, 100], seed=4)
    shuffle = np.random.default_rng(0).permutation(len(target))
    target, b = target[shuffle], b[shuffle]
    found = category_density(source, a, target, b, n_classes=2, seed=7)
    for c in range(2):
        expected = density_ratio(source[a == c], target[b == c], seed=7)
        np.testing.assert_array_equal(found.score[b == c], expected)


@pytest.mark.parametrize('sizes, other', [([0, 400], [9, 400]), ([400, 400], [1, 400])])
def test_small_classes_take_the_mixtures_of_all(sizes, other):
    source, a, target, b = world(sizes, other)
    target[b == 0] += 6
    found = category_density(source, a, target, b, n_classes=2)
    pooled = density_ratio(source, target)
    np.testing.assert_array_equal(found.score[b == 0], pooled[b == 0])
    assert found.weights.tolist() == [3, 1]


def test_divergence_is_held_out_and_matched(monkeypatch):
    """The same estimate with the rows of the folds told apart by hand."""
    source, _, target, _ = world([90], [120])
    seen = []

    def spy(a, b, *, at, seed):
        assert len(a) == len(b) == 60
        fitted = {tuple(row) for row in b}
        assert not any(tuple(row) in fitted for row in at)
        seen.append(len(at))
        return density_ratio(a, b, at=at, seed=seed)

    monkeypatch.setattr(module, 'density_ratio', spy)
    module._held_out_divergence(source, target, 0)
    assert sum(seen) == 5 * 120


@pytest.mark.parametrize('of_source', [4, 5, 40])
@pytest.mark.parametrize('of_target', [4, 5, 40])
def test_the_fewest_rows_that_are_accepted_suffice(of_source, of_target):
    source, a, target, b = world([of_source, 60], [of_target, 60])
    found = category_density(source, a, target, b, n_classes=2, min_rows=4)
    np.testing.assert_array_equal(
        found.score[b == 0], density_ratio(source[a == 0], target[b == 0])
    )
    assert np.isfinite(found.divergence).all()


def test_reproducible_without_global_state():
    given = world([100, 30], [100, 30])
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    one, two = (category_density(*given, n_classes=2, seed=3) for _ in range(2))
    for a, b in zip(one, two):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_order_written_out():
    rng = np.random.default_rng(0)
    for _ in range(20):
        n, c = int(rng.integers(0, 60)), int(rng.integers(1, 5))
        score, category = rng.normal(size=n).round(1), rng.integers(c, size=n)
        weights, keep = rng.integers(1, 4, c), rng.random(n) < 0.7
        queues = [
            sorted((i for i in range(n) if keep[i] and category[i] == k),
                   key=lambda i: (-score[i], i)) for k in range(c)
        ]  # fmt: skip
        expected = []
        while any(queues):
            for queue, w in zip(queues, weights):
                expected += queue[:w]
                del queue[:w]
        assert density_order(score, category, weights, keep).tolist() == expected


def test_labelled_rows_never_starve_a_class():
    """The best 300 of a class are labelled: the next ones follow."""
    score, category = -np.arange(1000.0), np.zeros(1000, int)
    order = density_order(score, category, [1], np.arange(1000) >= 300)
    assert order.tolist() == list(range(300, 1000))


def test_rows_that_are_not_ranked_are_left_out():
    order = density_order([1.0, -np.inf, 2.0], [0, 1, 0], [1, 0], np.ones(3, bool))
    assert order.tolist() == [2, 0]


def test_many_rows_in_a_second():
    rng = np.random.default_rng(0)
    n = 1_000_000
    order = density_order(
        rng.random(n), rng.integers(19, size=n), rng.integers(1, 4, 19), np.ones(n, bool)
    )
    assert len(np.unique(order)) == n


@pytest.mark.parametrize(
    'change, message',
    [
        ({'source_category': [0]}, r'`source` \(N, D\) and `source_category` \(N,\)'),
        ({'target_category': np.full(60, 2)}, r'`target_category` in \[0, 2\), but got 2 to 2'),
        ({'target_category': np.zeros(60)}, '`target_category` to be integers, but got float64'),
        ({'n_classes': 0}, '`n_classes` >= 1'),
        ({'min_rows': 3}, '`min_rows` >= 4, but got 3'),
        ({'target': np.full((60, 3), np.nan)}, 'finite `target`'),
        ({'target': np.zeros((60, 4))}, r'`source` of shape \(N, 4\), but got \(60, 3\)'),
    ],
)
def test_errors(change, message):
    rng = np.random.default_rng(0)
    zeros = np.zeros(60, int)
    given = dict(source=rng.normal(size=(60, 3)), source_category=zeros,
                 target=rng.normal(size=(60, 3)), target_category=zeros, n_classes=2)  # fmt: skip
    with pytest.raises(ValueError, match=message):
        category_density(**given | change)


def test_released_rule_leaves_out_classes_it_cannot_describe(caplog):
    """300 target rows want three components, which two source rows cannot have."""
    pytest.importorskip('sklearn')
    source, a, target, b = world([2, 300, 50, 50], [300, 300, 1, 50], d=3)
    source[a == 3] = target[b == 3]  # equal mixtures, divergence 0
    found = category_density(source, a, target, b, n_classes=4, paper_compat=True)
    own = [np.zeros(300, int)] * 2
    alone = category_density(
        source[a == 1], own[0], target[b == 1], own[1], n_classes=1, paper_compat=True
    )
    np.testing.assert_array_equal(found.score[b == 1], alone.score)
    assert np.isneginf(found.score[b != 1]).all()
    assert found.divergence.tolist() == [0, alone.divergence[0], 0, 0]
    assert found.weights.tolist() == [0, alone.weights[0], 0, 0]
    said = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
    assert [text.split(' has no density')[0] for text in said] == ['class 0', 'class 3']
    assert 'at least 3 rows for 3 components, but got 2' in said[0] and 'divergence > 0' in said[1]


@pytest.mark.parametrize('paper_compat', [False, True])
@pytest.mark.parametrize(
    'change, message',
    [
        (dict(target=np.full((60, 3), np.inf)), 'finite `target`'),
        (dict(source=np.zeros((60, 4))), r'`source` of shape \(N, 3\), but got \(60, 4\)'),
        (
            dict(source=np.zeros((1, 3)), source_category=[0]),
            'at least 2 rows in either domain, but got 1 and 60',
        ),
    ],
)
def test_features_that_are_wrong_as_a_whole_are_refused(paper_compat, change, message):
    rows, classes = np.random.default_rng(0).normal(size=(60, 3)), np.zeros(60, int)
    given = dict(source=rows, source_category=classes, target=rows + 1, target_category=classes)
    with pytest.raises(ValueError, match=message):
        category_density(**given | change, n_classes=1, paper_compat=paper_compat)


@pytest.mark.parametrize(
    'change, message',
    [
        ({'keep': [True]}, r'`keep` \(M,\), but got \(2,\), \(2,\) and \(1,\)'),
        ({'keep': [1, 0]}, '`keep` to be bool'),
        ({'weights': 1}, r'`weights` of shape \(C,\)'),
        ({'weights': [1, 0]}, '`weights` > 0 where a list is not empty'),
        ({'category': [0, 2]}, r'`category` in \[0, 2\)'),
        ({'score': [0.0, np.nan]}, 'without NaN'),
        ({'score': [0.0, np.inf]}, 'without NaN and inf'),
    ],
)
def test_order_errors(change, message):
    given = dict(score=[0.5, 1.0], category=[0, 1], weights=[1, 1], keep=[True, True])
    with pytest.raises(ValueError, match=message):
        density_order(**given | change)
