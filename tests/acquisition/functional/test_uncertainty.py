"""Entropy, margin and least confidence against plain loops, for arrays and tensors."""

import math

import numpy as np
import pytest
import torch

from dense_al.acquisition.functional.uncertainty import entropy, least_confidence, margin

FUNCTIONS = [entropy, margin, least_confidence]


def plain(function, p):
    p = sorted((float(v) for v in p), reverse=True)
    if function is entropy:
        return -sum(v * math.log(v) for v in p if v > 0)
    return 1 - (p[0] - p[1]) if function is margin else 1 - p[0]


def draw(shape, axis, seed=0):
    p = np.random.default_rng(seed).random(shape) ** 4
    p[p < 0.05] = 0
    p = np.where(p.sum(axis=axis, keepdims=True) == 0, 1.0, p)
    return p / p.sum(axis=axis, keepdims=True)


@pytest.mark.parametrize('function', FUNCTIONS)
@pytest.mark.parametrize(
    ('shape', 'axis'),
    [((7,), 0), ((9, 4), -1), ((4, 9, 6), 0), ((2, 5, 3, 4), 1), ((3, 40), 1), ((2, 3, 2), -1)],
)
def test_plain_loop(function, shape, axis):
    p = draw(shape, axis)
    expected = np.apply_along_axis(lambda v: plain(function, v), axis, p)
    np.testing.assert_allclose(function(p, axis), expected, rtol=1e-12, atol=1e-15)
    tensor = function(torch.from_numpy(p), axis)
    assert isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize('function', FUNCTIONS)
def test_float32_and_blocks(function):
    p = draw((19, 130, 90), 0, seed=1).astype(np.float32)
    found = function(p, axis=0)
    assert found.dtype == np.float32 and found.shape == (130, 90)
    np.testing.assert_allclose(found, function(p.astype(np.float64), axis=0), atol=2e-6)
    last = np.moveaxis(p, 0, -1)
    np.testing.assert_allclose(function(np.ascontiguousarray(last)), found, atol=1e-6)
    np.testing.assert_allclose(function(last), found, atol=1e-6)
    np.testing.assert_allclose(function(torch.from_numpy(p), 0).numpy(), found, atol=2e-6)
    half = function(p.astype(np.float16), axis=0)
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, found, atol=1e-2)


def test_sure_and_uniform():
    p = np.array([[0, 1, 0], [1 / 3, 1 / 3, 1 / 3]])
    assert entropy(p).tolist() == [0, pytest.approx(math.log(3))]
    assert margin(p).tolist() == [0, 1]
    assert least_confidence(p).tolist() == [0, pytest.approx(2 / 3)]
    assert not np.signbit(entropy(np.array([1.0, 0.0])))


def test_order_of_classes_does_not_matter():
    p = draw((50, 6), 1)
    q = p[:, [3, 1, 5, 0, 2, 4]]
    for function in FUNCTIONS:
        np.testing.assert_allclose(function(p), function(q), rtol=1e-12, atol=1e-15)


def test_empty_and_scalar():
    assert entropy(np.zeros((0, 3))).shape == (0,)
    assert margin(torch.zeros(0, 3)).shape == (0,)
    assert np.ndim(margin(np.array([0.7, 0.3]))) == 0


@pytest.mark.parametrize('function', FUNCTIONS)
@pytest.mark.parametrize('make', [np.array, torch.tensor])
def test_errors(function, make):
    with pytest.raises(ValueError, match='Expected `axis`.* but got 2'):
        function(make([[0.5, 0.5]]), axis=2)
    for bad in ([-1.0, 2.0], [float('nan'), 1.0], [0.5, 3.0]):
        with pytest.raises(ValueError, match=r'Expected `probs` to be in \[0, 1\], but got'):
            function(make([bad]))
    with pytest.raises(ValueError, match='classes along axis -1 to be at least ., but got 0'):
        function(make([[]]))


def test_margin_needs_two_classes():
    with pytest.raises(ValueError, match='along axis -1 to be at least 2, but got 1'):
        margin(np.ones((4, 1)))
