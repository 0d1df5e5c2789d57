"""AADA and BvSB-CB against their formulas written out."""

import math

import numpy as np
import pytest
import torch

from dense_al.acquisition.functional.domain import (
    aada_score,
    best_versus_second_best,
    class_balanced_score,
    top_count,
)


def test_aada_formula():
    rng = np.random.default_rng(0)
    domain, unsure = rng.random((2, 5, 7))
    found = aada_score(domain, unsure)
    for i in np.ndindex(5, 7):
        assert found[i] == pytest.approx(domain[i] / (1 - domain[i]) * unsure[i], rel=1e-12)
    certain = aada_score([1.0, 1.0 - 1e-16, 0.0], [0.5, 0.25, 1.0])
    assert certain.tolist() == [5e5, 2.5e5, 0.0]
    assert aada_score(1.0, 0.5, max_ratio=10) == 5


@pytest.mark.parametrize('kind', [np.float32, np.float64, torch.float32])
@pytest.mark.parametrize('axis', [0, 1, -1])
def test_second_over_best(kind, axis):
    probs = np.random.default_rng(0).dirichlet(np.ones(4), (4, 4))
    probs = np.moveaxis(probs, -1, axis)
    tensor = kind is torch.float32
    given = torch.tensor(probs, dtype=kind) if tensor else probs.astype(kind)
    found = best_versus_second_best(given, axis)
    assert isinstance(found, torch.Tensor) == tensor and found.dtype == kind
    ranked = np.sort(np.moveaxis(probs, axis, -1), axis=-1)
    np.testing.assert_allclose(np.asarray(found), ranked[..., -2] / ranked[..., -1], rtol=1e-6)


def test_class_balance_written_out():
    rng = np.random.default_rng(0)
    score, category = rng.normal(size=50), rng.integers(-1, 4, size=50)
    found = class_balanced_score(score, category, 6)
    for i in range(50):
        scaled = (score[i] - min(score)) / (max(score) - min(score))
        share = sum(c == category[i] for c in category) / 50
        assert found[i] == pytest.approx(scaled * math.exp(-share), rel=1e-12)
    equal = class_balanced_score([3.0] * 4, [0, 0, 0, 1], 2)
    assert equal.argmax() == 3 and equal[0] > 0
    assert class_balanced_score([], [], 2).shape == (0,)


def test_how_many_are_drawn_from():
    for share in (0.01, 0.07, 0.29, 1.0):
        for n in (1, 7, 100, 1000):
            assert top_count(share, n) == -(-round(100 * share) * n // 100)
    assert [top_count(0.05, 20, least) for least in (0, 1, 5, 30)] == [1, 1, 5, 20]


@pytest.mark.parametrize(
    'call, message',
    [
        (lambda: aada_score([0.5], [0.1, 0.2]), r'`uncertainty` of shape \(1,\)'),
        (lambda: aada_score([1.5], [0.1]), r'`domain_prob` in \[0, 1\]'),
        (lambda: aada_score([np.nan], [0.1]), '`domain_prob` in'),
        (lambda: aada_score([0.5], [-0.1]), '`uncertainty` to be finite and at least 0'),
        (lambda: aada_score([0.5], [0.1], max_ratio=0), '`max_ratio` > 0'),
        (lambda: best_versus_second_best([[1.0]]), 'at least 2 classes'),
        (lambda: best_versus_second_best([[2.0, -1.0]]), r'`probs` to be in \[0, 1\]'),
        (lambda: class_balanced_score([1.0], [0, 1], 2), r'`score` and `category` \(N,\)'),
        (lambda: class_balanced_score([np.nan], [0], 2), 'finite `score`'),
        (lambda: class_balanced_score([1.0], [2], 2), r'integers in \[-1, 2\)'),
        (lambda: class_balanced_score([1.0], [0.0], 2), 'but got float64'),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
