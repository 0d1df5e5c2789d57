"""Squared distances to a few rows against differences in float64."""

import numpy as np
import pytest

from dense_al.acquisition.functional import products
from dense_al.acquisition.functional.products import CentredRows


def squared(data, rows):
    return np.concatenate([found for _, found in data.squared(rows)], axis=1)


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(300, 40)).astype(np.float32) + 50


def plain(x, rows):
    x = x.astype(np.float64)
    return ((x[rows][:, None] - x) ** 2).sum(axis=2)


@pytest.mark.parametrize(
    ('entries', 'worth', 'kind', 'tolerance'),
    [(1 << 24, 0, '_Plain', 1e-10), (0, 99, '_Plain', 1e-3), (0, 5, '_Packed', 1e-3)],
)
@pytest.mark.parametrize('block', [1000, 77])
def test_differences(features, monkeypatch, entries, worth, kind, tolerance, block):
    monkeypatch.setattr(products, 'EXACT_ENTRIES', entries)
    monkeypatch.setattr(products, 'WORTH_PACKING', worth)
    monkeypatch.setattr(products, '_BLOCK', block)
    monkeypatch.setattr(products, '_CENTRES', 3)
    data = CentredRows(features, products=5)
    assert {type(b).__name__ for _, b in data.blocks} == {kind}
    assert len(data.blocks) == (1 if block == 1000 else 4)
    rows = np.array([7, 299, 7, 120, 0])
    found, wanted = squared(data, rows), plain(features, rows)
    assert found.dtype == np.float64 and (found >= 0).all()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=tolerance)
    np.testing.assert_allclose(data.nearest(rows), wanted.min(axis=0), rtol=1e-5, atol=tolerance)


def test_the_mean_does_not_cost_digits(monkeypatch):
    monkeypatch.setattr(products, 'EXACT_ENTRIES', 0)
    x = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    far = (x + 4096).astype(np.float32)
    found = squared(CentredRows(far), np.arange(5))
    np.testing.assert_allclose(found, plain(far, np.arange(5)), rtol=1e-4, atol=1e-4)


def test_without_onednn_rows_stay_plain(features, monkeypatch):
    def missing(*_):
        raise AttributeError('no such operator')

    monkeypatch.setattr(products, 'EXACT_ENTRIES', 0)
    packed = squared(CentredRows(features, products=99), np.arange(9))
    monkeypatch.setattr(products.torch.ops.mkldnn, '_reorder_linear_weight', missing)
    data = CentredRows(features, products=99)
    assert {type(b).__name__ for _, b in data.blocks} == {'_Plain'}
    np.testing.assert_allclose(squared(data, np.arange(9)), packed, rtol=1e-4, atol=1e-3)


def test_no_rows():
    assert CentredRows(np.zeros((0, 3))).nearest(np.empty(0, int)).shape == (0,)
    data = CentredRows(np.ones((2, 3)))
    assert np.isinf(data.nearest(np.empty(0, int))).all()
    assert squared(data, np.empty(0, int)).shape == (0, 2)


def test_errors():
    with pytest.raises(ValueError, match=r'shape \(N, D\), but got \(3,\)'):
        CentredRows(np.zeros(3))
    with pytest.raises(ValueError, match='Expected finite `features`'):
        CentredRows(np.array([[np.inf]]))
