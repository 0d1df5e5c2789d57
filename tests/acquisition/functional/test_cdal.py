"""CDAL's mixtures and distances against published outputs and sums written out."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from dense_al.acquisition.functional.cdal import (
    cdal_distance,
    cdal_select,
    class_mixtures,
    entropy_mixture,
)

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


def load(case):
    path = GOLDEN / 'cdal_distance' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    return np.load(path, allow_pickle=False)


@pytest.mark.parametrize('case', range(3))
def test_golden(case):
    z = load(case)
    for probs, mixtures, present in zip(z['probs'], z['class_mixture'], z['class_present']):
        found, there = class_mixtures(probs)
        np.testing.assert_allclose(found, mixtures, rtol=1e-9)
        np.testing.assert_array_equal(there, present)
    given = dict(mixtures=z['class_mixture'], present=z['class_present'], paper_compat=True)
    np.testing.assert_allclose(cdal_distance(**given), z['distance'], rtol=1e-9, atol=1e-13)
    summed = cdal_distance(**given, reduction='sum')
    np.testing.assert_allclose(summed, z['distance_rl_sum'], rtol=1e-4, atol=1e-5)
    apart = cdal_distance(z['class_mixture'])
    np.testing.assert_array_equal(np.isinf(apart), z['common_classes'] == 0)


@pytest.mark.parametrize('case', range(3))
def test_golden_boxes(case):
    z = load(case)
    shares = np.exp(z['box_logits'])
    shares /= shares.sum(axis=2, keepdims=True)
    mixtures = np.stack([entropy_mixture(image) for image in shares])
    np.testing.assert_allclose(mixtures, z['box_mixture'], rtol=1e-9)
    found = cdal_distance(mixtures[:, None])
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
    found = cdal_distance(mixtures)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(cdal_distance(mixtures, row=-2), found[-2], atol=1e-12)
    np.testing.assert_array_equal(np.isinf(cdal_distance(mixtures, paper_compat=True)), False)


@pytest.mark.parametrize('seed', range(3))
def test_selection_written_out(seed):
    mixtures = images(30, seed=seed)
    labelled = np.arange(30) < 2
    distance = cdal_distance(mixtures)
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
    known = np.arange(30) < 5
    released = {
        int(cdal_select(mixtures, known, 1, rng=np.random.default_rng(s), paper_compat=True)[0])
        for s in range(20)
    }
    assert len(released) > 5 and min(released) >= 5


def test_certain_pixels():
    probs = np.array([[[1.0, 0.0, 0.3]], [[0.0, 1.0, 0.7]]])
    mixtures, present = class_mixtures(probs)
    assert mixtures.round(12).tolist() == [[1.0, 0.0], [0.3, 0.7]] and present.all()
    assert entropy_mixture([[1.0, 0.0], [0.0, 1.0]]).tolist() == [0.5, 0.5]
    # Disjoint certain mixtures are far apart, not NaN.
    assert 13 < cdal_distance([[[1.0, 0.0]], [[0.0, 1.0]]])[0, 1] < 30


def test_three_thousand_images_in_seconds():
    rng = np.random.default_rng(0)
    mixtures = rng.dirichlet(np.full(19, 0.3), (3000, 19))
    start = time.perf_counter()
    assert len(np.unique(cdal_select(mixtures, np.arange(3000) < 150, 150))) == 150
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    'change, message',
    [
        ({'mixtures': np.ones((2, 3))}, r'`mixtures` of shape \(N, G, C\), but got \(2, 3\)'),
        ({'mixtures': np.full((2, 1, 2), -1)}, r'`probs` to be in \[0, 1\]'),
        ({'present': np.ones((2, 1))}, r'`present` to be \(2, 1\) bool'),
        ({'row': 2}, '`row` to be a row of 2, but got 2'),
        ({'reduction': 'max'}, "`reduction` 'mean' or 'sum', but got 'max'"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        cdal_distance(**{'mixtures': np.full((2, 1, 2), 0.5)} | change)


def test_more_errors():
    with pytest.raises(ValueError, match='`rng` with `paper_compat`'):
        cdal_select(images(), np.zeros(12, bool), 2, paper_compat=True)
    with pytest.raises(ValueError, match='at most 12'):
        cdal_select(images(), np.zeros(12, bool), 13)
    with pytest.raises(ValueError, match=r'`probs` of shape \(C, H, W\)'):
        class_mixtures([[0.5]])
    with pytest.raises(ValueError, match=r'`probs` of shape \(P >= 1, C\), but got \(0, 2\)'):
        entropy_mixture(np.zeros((0, 2)))
