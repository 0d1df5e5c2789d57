"""Region statistics and RIPU against published outputs and plain loops."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dense_al.acquisition.functional.ripu import (
    region_impurity,
    region_uncertainty,
    ripu_score,
    ripu_select,
    window_mask,
)
from dense_al.acquisition.functional.uncertainty import entropy, least_confidence, margin
from dense_al.groups import (
    region_count,
    region_max,
    region_mean,
    region_sum,
    region_topk_mean,
)

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


def load(name, case):
    path = GOLDEN / name / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    return np.load(path, allow_pickle=False)


def softmax(logits):
    e = np.exp(logits - logits.max(axis=0))
    return e / e.sum(axis=0)


def draw(c, h, w, seed=0):
    return softmax(4 * np.random.default_rng(seed).normal(size=(c, h, w)))


def plain_window(probs, radius):
    """Impurity and uncertainty, each window cut out of the image."""
    c, h, w = probs.shape
    impurity, uncertainty = np.zeros((h, w)), np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            inside = [
                probs[:, v, u]
                for v in range(max(0, y - radius), min(h, y + radius + 1))
                for u in range(max(0, x - radius), min(w, x + radius + 1))
            ]
            labels = [list(p).index(max(p)) for p in inside]
            shares = [labels.count(k) / len(labels) for k in set(labels)]
            impurity[y, x] = -sum(s * math.log(s) for s in shares) / math.log(c)
            terms = [-v * math.log(v) for p in inside for v in p if v > 0]
            uncertainty[y, x] = sum(terms) / len(inside) / math.log(c)
    return impurity, uncertainty


@pytest.mark.parametrize('case', range(3))
def test_ripu_golden(case):
    z = load('ripu', case)
    probs, radius = softmax(z['logits'].astype(np.float64)), int(z['radius'])
    for p in (probs, probs.astype(np.float32), torch.from_numpy(probs)):
        found = [
            np.asarray(f(p, radius, log_classes=19))
            for f in (region_impurity, region_uncertainty, ripu_score)
        ]
        for name, value in zip(('impurity', 'uncertainty', 'score'), found):
            np.testing.assert_allclose(value, z[name], atol=2e-5)
    before, shape = z['active_before'], z['active_before'].shape
    n = math.ceil(before.size * float(z['ratio']) / (2 * radius + 1) ** 2)
    for score in (z['score'], found[2]):
        picks = ripu_select(score, n, radius, active=before)
        assert picks.dtype == np.int64
        np.testing.assert_array_equal(picks, z['picks_yx'])
        np.testing.assert_array_equal(window_mask(picks, radius, shape), z['selected_mask'])
        after = before | window_mask(picks, 2 * radius, shape)
        np.testing.assert_array_equal(after, z['active_after'])


@pytest.mark.parametrize('radius', [0, 1, 2, 5, 8, 13, 100])
def test_windows(radius):
    probs = draw(5, 9, 13, seed=radius)
    impurity, uncertainty = plain_window(probs, radius)
    for p in (probs, torch.from_numpy(probs)):
        np.testing.assert_allclose(region_impurity(p, radius), impurity, atol=1e-12)
        np.testing.assert_allclose(region_uncertainty(p, radius), uncertainty, atol=1e-12)
        np.testing.assert_allclose(ripu_score(p, radius), impurity * uncertainty, atol=1e-12)


def test_many_classes_and_blocks():
    probs = draw(300, 40, 60, seed=1)
    labels = probs.argmax(axis=0)
    found = region_impurity(probs.astype(np.float32), 3)
    assert found.dtype == np.float32
    counts = np.unique(labels[10:17, 20:27], return_counts=True)[1] / 49
    expected = -(counts * np.log(counts)).sum() / np.log(300)
    assert found[13, 23] == pytest.approx(expected, abs=1e-6)


def test_pure_windows_are_exactly_zero():
    probs = np.zeros((3, 20, 30), np.float32)
    probs[1] = 1
    assert not region_impurity(probs, 4).any()
    assert not region_uncertainty(probs, 4).any()
    tied = np.full((4, 3, 3), 0.25)
    assert not region_impurity(tied, 1).any()
    assert not region_impurity(torch.from_numpy(tied), 1).any()


def test_flips_and_class_order():
    probs = draw(6, 17, 11, seed=3)
    score = ripu_score(probs, 2)
    np.testing.assert_allclose(ripu_score(probs[:, ::-1], 2)[::-1], score, atol=1e-12)
    np.testing.assert_allclose(ripu_score(probs[:, :, ::-1], 2)[:, ::-1], score, atol=1e-12)
    np.testing.assert_allclose(ripu_score(probs[::-1], 2), score, atol=1e-12)
    np.testing.assert_allclose(ripu_score(probs.swapaxes(1, 2), 2), score.T, atol=1e-12)


@pytest.mark.parametrize('radius', [0, 1, 3])
def test_ripu_select_plain(radius):
    rng = np.random.default_rng(radius)
    score = rng.integers(0, 30, size=(23, 31)).astype(float)
    active = rng.random(score.shape) < 0.2
    free = {(y, x) for y in range(23) for x in range(31) if not active[y, x]}
    expected = []
    while free and len(expected) < 60:
        y, x = min(free, key=lambda p: (-score[p], p))
        expected.append([y, x])
        reach = 2 * radius
        free = {p for p in free if max(abs(p[0] - y), abs(p[1] - x)) > reach}
    assert ripu_select(score, 60, radius, active=active).tolist() == expected


def test_ripu_select_stops_when_all_is_blocked():
    assert ripu_select(np.zeros((4, 4)), 5, 2).tolist() == [[0, 0]]
    assert ripu_select(np.zeros((4, 4)), 5, 2, active=np.ones((4, 4), bool)).shape == (0, 2)
    assert ripu_select(np.zeros((4, 4)), 0, 2).shape == (0, 2)


def plain_regions(values, regions, n, function):
    groups = [[] for _ in range(n)]
    for value, region in zip(values, regions):
        if region >= 0:
            groups[region].append(float(value))
    return [function(group) if group else 0.0 for group in groups]


@pytest.mark.parametrize('dtype', [np.float32, np.float64, np.int16])
def test_regions_plain(dtype):
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(14, 17)) * 50 - 200).astype(dtype)
    regions = rng.integers(-1, 30, size=(14, 17))
    regions[regions == 4] = -1
    flat = values.ravel().tolist(), regions.ravel().tolist()
    for function, plain in (
        (region_sum, math.fsum),
        (region_mean, lambda g: math.fsum(g) / len(g)),
        (region_max, max),
    ):
        found = function(values, regions, 31)
        assert found.dtype == np.float64 and found.shape == (31,)
        np.testing.assert_allclose(found, plain_regions(*flat, 31, plain), rtol=1e-12)
    for k in (1, 3, 1000):
        expected = plain_regions(
            *flat, 31, lambda g, k=k: math.fsum(sorted(g)[-k:]) / min(k, len(g))
        )
        np.testing.assert_allclose(region_topk_mean(values, regions, 31, k), expected, rtol=1e-12)
    assert region_count(regions, 31).tolist() == [flat[1].count(region) for region in range(31)]


def test_trailing_axes():
    rng = np.random.default_rng(1)
    values, regions = rng.normal(size=(8, 9, 2, 3)), rng.integers(-1, 5, size=(8, 9))
    for function in (region_sum, region_mean, region_max):
        found = function(values, regions, 5)
        assert found.shape == (5, 2, 3)
        np.testing.assert_array_equal(found[:, 1, 2], function(values[..., 1, 2], regions, 5))
    moved = np.moveaxis(rng.normal(size=(4, 8, 9)), 0, -1)
    np.testing.assert_allclose(
        region_mean(moved, regions, 5), region_mean(moved.copy(order='C'), regions, 5)
    )


def test_order_of_pixels_does_not_matter():
    rng = np.random.default_rng(2)
    values, regions, order = rng.normal(size=500), rng.integers(-1, 9, 500), rng.permutation(500)
    for function in (region_mean, region_max, lambda v, r, n: region_topk_mean(v, r, n, 4)):
        np.testing.assert_allclose(
            function(values, regions, 9), function(values[order], regions[order], 9)
        )


def test_long_sums_are_float64():
    values = np.full(1 << 20, 0.1, np.float32)
    found = region_mean(values, np.zeros(1 << 20, np.int64), 1)
    assert found[0] == pytest.approx(float(np.float32(0.1)), rel=1e-12)


@pytest.mark.parametrize('as_tensor', [False, True])
@pytest.mark.parametrize('case', range(3))
@pytest.mark.parametrize('name', ['entropy', 'margin', 'confidence'])
def test_mean_uncertainty_of_regions_golden(name, case, as_tensor):
    """The published values are bits per class, p2 - p1 and -p1; the rankings are the same."""
    z = load('d2ada_uncertainty', case)
    probs, superpixels = z['probs'], z['superpixels']
    score = dict(entropy=entropy, margin=margin, confidence=least_confidence)[name]
    values = np.asarray(score(torch.from_numpy(probs) if as_tensor else probs, 1))
    n = int(superpixels.max()) + 1
    found = [region_mean(image, regions, n) for image, regions in zip(values, superpixels)]
    value = np.array([found[image][region] for image, region in z['region_ids']])
    bits = probs.shape[1] * np.log(2)
    published = value / bits if name == 'entropy' else value - 1
    np.testing.assert_allclose(published, z[f'region_{name}'], atol=1e-5)
    order = np.argsort(-value, kind='stable')
    np.testing.assert_array_equal(z['region_ids'][order], z[f'rank_{name}'])


def test_values_outside_regions_are_ignored():
    values, regions = np.array([1.0, np.nan, 3.0]), np.array([0, -1, 0])
    assert region_mean(values, regions, 1).tolist() == [2]
    assert region_max(values, regions, 1).tolist() == [3]
    assert region_topk_mean(values, regions, 1, 1).tolist() == [3]


@pytest.mark.parametrize('function', [region_sum, region_mean, region_max])
def test_region_errors(function):
    with pytest.raises(ValueError, match=r'`regions` in \[-1, 2\), but got 0 to 2'):
        function([1.0, 2.0], [0, 2], 2)
    with pytest.raises(ValueError, match='`regions` to be integers, but got float64'):
        function([1.0, 2.0], [0.0, 1.0], 2)
    with pytest.raises(ValueError, match=r'`values` of shape \(2,\) \+ \(...\), but got \(3,\)'):
        function([1.0, 2.0, 3.0], [0, 1], 2)
    with pytest.raises(ValueError, match=r'in regions \[1\]'):
        function([1.0, np.nan], [0, 1], 2)


def test_topk_errors():
    with pytest.raises(ValueError, match='`k` to be at least 1, but got 0'):
        region_topk_mean([1.0], [0], 1, 0)
    with pytest.raises(ValueError, match=r'`values` of shape \(1,\), but got \(1, 2\)'):
        region_topk_mean([[1.0, 2.0]], [0], 1, 1)


@pytest.mark.parametrize('function', [region_impurity, region_uncertainty, ripu_score])
def test_window_errors(function):
    probs = draw(3, 4, 5)
    with pytest.raises(ValueError, match=r'C >= 2, but got \(1, 4, 5\)'):
        function(probs[:1], 1)
    with pytest.raises(ValueError, match='`radius` to be at least 0, but got -1'):
        function(probs, -1)
    with pytest.raises(ValueError, match='`log_classes` to be at least 2, but got 1'):
        function(probs, 1, log_classes=1)
    for bad in (probs - 0.5, probs * np.nan, torch.from_numpy(probs * 3)):
        with pytest.raises(ValueError, match=r'`probs` to be in \[0, 1\]'):
            function(bad, 1)


def test_select_errors():
    score = np.zeros((3, 4))
    with pytest.raises(ValueError, match='finite'):
        ripu_select(score + np.inf, 1, 1)
    with pytest.raises(ValueError, match='at least 0, but got -1 and 1'):
        ripu_select(score, -1, 1)
    with pytest.raises(ValueError, match=r'`active` to be \(3, 4\) bool'):
        ripu_select(score, 1, 1, active=np.zeros((4, 3), bool))
    with pytest.raises(ValueError, match=r'inside \(3, 4\)'):
        window_mask([[0, 4]], 1, (3, 4))
