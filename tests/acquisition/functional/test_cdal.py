"""CDAL's mixtures and distances against published outputs and sums written out."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dense_al.acquisition import ClassMixtures
from dense_al.acquisition.functional import cdal
from dense_al.acquisition.functional.cdal import cdal_select

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


def load(case):
    path = GOLDEN / 'cdal_distance' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    return np.load(path, allow_pickle=False)


def distances(mixtures, rows=None):
    """What `cdal_select` measures, of all pairs or from some rows."""
    pairs = cdal._Pairs(mixtures)
    return pairs.distance(np.arange(len(pairs)) if rows is None else np.array(rows))


@pytest.mark.parametrize('case', range(3))
def test_golden(case):
    z = load(case)
    for probs, mixtures, present in zip(z['probs'], z['class_mixture'], z['class_present']):
        one_unit = np.zeros(probs.shape[1:], int)
        found = ClassMixtures().mixtures(torch.from_numpy(probs).double(), one_unit, 1)
        np.testing.assert_allclose(found.reshape(mixtures.shape), mixtures, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(found.reshape(mixtures.shape).any(axis=1), present)
    found = distances(z['class_mixture'])
    np.testing.assert_array_equal(np.isinf(found), z['common_classes'] == 0)
    found[z['common_classes'] == 0] = 0  # as released
    np.testing.assert_allclose(found, z['distance'], rtol=1e-9, atol=1e-13)
    summed = found * z['common_classes']
    np.testing.assert_allclose(summed, z['distance_rl_sum'], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('case', range(3))
def test_golden_boxes(case):
    z = load(case)
    found = distances(z['box_mixture'][:, None])
    np.testing.assert_allclose(found, z['box_distance'], rtol=1e-9, atol=1e-13)


def images(n=12, c=4, seed=0):
    rng = np.random.default_rng(seed)
    mixtures = rng.dirichlet(np.full(c, 0.5), (n, c))
    mixtures[rng.random((n, c)) < 0.5] = 0
    return mixtures


def written_out(a, b):
    terms = []
    for p, q in zip(a, b):
        if p.any() and q.any():
            p, q = np.maximum(p, 1e-12), np.maximum(q, 1e-12)
            terms.append(0.5 * (p * np.log(p / q)).sum() + 0.5 * (q * np.log(q / p)).sum())
    return np.mean(terms) if terms else np.inf


@pytest.mark.parametrize('seed', range(3))
def test_distance_written_out(seed):
    mixtures = images(seed=seed)
    expected = [[written_out(a, b) for b in mixtures] for a in mixtures]
    expected = np.where(np.eye(12, dtype=bool), 0, expected)
    found = distances(mixtures)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(distances(mixtures, rows=[10]), found[10:11], atol=1e-12)


@pytest.mark.parametrize('seed', range(3))
def test_selection_written_out(seed):
    mixtures = images(30, seed=seed)
    labelled = np.arange(30) < 2
    distance = distances(mixtures)
    centres = [0, 1]
    for _ in range(20):
        nearest = distance[centres].min(axis=0)
        nearest[centres] = -1
        centres.append(int(nearest.argmax()))
    picks = cdal_select(mixtures, labelled, 20)
    assert picks.dtype == np.int64 and picks.tolist() == centres[2:]
    rng = np.random.default_rng(1)
    everything = cdal_select(mixtures, labelled, 28, rng=rng)
    assert sorted(everything.tolist()) == list(range(2, 30))


def test_first_pick():
    mixtures, nothing = images(30), np.zeros(30, bool)
    assert cdal_select(mixtures, nothing, 3)[0] == 0
    firsts = {int(cdal_select(mixtures, nothing, 1, rng=np.random.default_rng(s))[0])
              for s in range(20)}  # fmt: skip
    assert len(firsts) > 5


def test_certain_pixels():
    probs = torch.tensor([[[1.0, 0.0, 0.3]], [[0.0, 1.0, 0.7]]])
    mixtures = ClassMixtures().mixtures(probs, np.zeros((1, 3), int), 1)
    np.testing.assert_allclose(mixtures, [[1.0, 0.0, 0.3, 0.7]], atol=1e-6)
    sure = ClassMixtures().mixtures(probs[..., :2], np.zeros((1, 2), int), 1)
    np.testing.assert_allclose(sure, [[1.0, 0.0, 0.0, 1.0]], atol=1e-6)
    # Disjoint certain mixtures are far apart, not NaN.
    assert 13 < distances([[[1.0, 0.0]], [[0.0, 1.0]]])[0, 1] < 30


def test_three_thousand_images_in_seconds():
    rng = np.random.default_rng(0)
    mixtures = rng.dirichlet(np.full(19, 0.3), (3000, 19))
    start = time.process_time()
    assert len(np.unique(cdal_select(mixtures, np.arange(3000) < 150, 150))) == 150
    assert time.process_time() - start < 5  # 0.2 s alone; a loop over pairs takes minutes


@pytest.mark.parametrize(
    'change, message',
    [
        ({'mixtures': np.ones((2, 3))}, r'`mixtures` of shape \(N, G, C\), but got \(2, 3\)'),
        ({'mixtures': np.full((2, 1, 2), -1)}, r'`probs` to be in \[0, 1\]'),
        ({'n': 3}, 'at most 2'),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        given = {'mixtures': np.full((2, 1, 2), 0.5), 'labelled': [False, False], 'n': 1}
        cdal_select(**given | change)
