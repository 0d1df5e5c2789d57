"""Boundary distances and quota, 100,000 x 512 and 100 classes, against a plain batched version."""

import time

import numpy as np

from dense_al.acquisition.functional.boundary import boundary_distance, boundary_quota


def plain_distance(features, weight, bias):
    """Differences of weights for every row of a batch, in float32."""
    out = np.empty((len(features), len(weight)), np.float32)
    for start in range(0, len(features), 128):
        x = features[start : start + 128]
        predicted = (x @ weight.T + bias).argmax(axis=1)
        gap = weight[predicted][:, None] - weight[None]
        offset = bias[predicted][:, None] - bias[None]
        value = np.abs(np.einsum('ncd,nd->nc', gap, x) + offset)
        norm = np.sqrt(np.einsum('ncd,ncd->nc', gap, gap))
        with np.errstate(invalid='ignore'):
            r = value / norm
        r[np.arange(len(x)), predicted] = np.inf
        out[start : start + 128] = r
    return out


def main():
    rng = np.random.default_rng(0)
    n, d, c, budget, part = 100_000, 512, 100, 1000, 10_000
    features = rng.normal(size=(n, d)).astype(np.float32)
    weight = rng.normal(size=(c, d)).astype(np.float32)
    bias = rng.normal(size=c).astype(np.float32)
    distance_s, quota_s, product_s = [], [], []
    for _ in range(4):
        start = time.perf_counter()
        r = boundary_distance(features, weight, bias)
        middle = time.perf_counter()
        boundary_quota(r, budget)
        end = time.perf_counter()
        features.astype(np.float64) @ weight.T.astype(np.float64)
        distance_s.append(middle - start)
        quota_s.append(end - middle)
        product_s.append(time.perf_counter() - end)
    start = time.perf_counter()
    plain = plain_distance(features[:part], weight, bias)
    plain_s = (time.perf_counter() - start) * n / part
    np.testing.assert_allclose(r[:part], plain, rtol=2e-3, atol=1e-4)
    ours = np.median(distance_s) + np.median(quota_s)
    print(f'{n} x {d}, {c} classes, budget {budget}')
    print(f'  distance {np.median(distance_s):.2f} s, quota {np.median(quota_s):.2f} s')
    print(f'  one float64 product {np.median(product_s):.2f} s')
    print(f'  plain (tenth of the rows, times 10) {plain_s:.1f} s, ratio {plain_s / ours:.1f}')


if __name__ == '__main__':
    main()
