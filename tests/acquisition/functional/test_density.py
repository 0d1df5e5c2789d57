"""Log density ratio against published outputs, a plain reference and known densities."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dense_al.acquisition.functional import density
from dense_al.acquisition.functional.density import density_ratio

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


def domains(n=1500, m=1200, d=6, extra=150, seed=0):
    """Same four blobs, and one that only the target has (its last `extra` rows)."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(5, d)) * 4
    source = centres[rng.integers(4, size=n)] + rng.normal(size=(n, d))
    target = centres[rng.integers(4, size=m)] + rng.normal(size=(m, d))
    target[m - extra :] = centres[4] + rng.normal(size=(extra, d))
    return source, target


@pytest.mark.parametrize('case', range(3))
def test_golden(case):
    pytest.importorskip('sklearn', reason='the released method needs scikit-learn')
    path = GOLDEN / 'density_ratio' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    z = np.load(path, allow_pickle=False)
    ratio = density_ratio(z['source'], z['target'], paper_compat=True)
    np.testing.assert_allclose(-ratio, z['diff'], rtol=1e-7)
    np.testing.assert_array_equal(np.argsort(-ratio, kind='stable'), z['order'])
    assert abs(ratio.mean()) == pytest.approx(float(z['abs_mean']), rel=1e-7)


@pytest.mark.parametrize('case', [1, 2])
def test_robust_mode_ranks_as_released_where_modes_are_separated(case):
    path = GOLDEN / 'density_ratio' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    z = np.load(path, allow_pickle=False)
    ratio = density_ratio(z['source'], z['target'])
    assert stats.spearmanr(ratio, -z['diff'])[0] > 0.9


def test_released_method_needs_scikit_learn(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'sklearn.mixture', None)
    with pytest.raises(ImportError, match='needs scikit-learn'):
        density_ratio(*domains(), paper_compat=True)


def test_known_gaussians():
    """One component each: the true ratio of two Gaussians."""
    rng = np.random.default_rng(0)
    source = rng.normal(0, 1, (20000, 3))
    target = rng.normal([1, 0, -0.5], [1, 2, 0.5], (20000, 3))
    truth = stats.norm.logpdf(target, [1, 0, -0.5], [1, 2, 0.5]).sum(axis=1)
    truth -= stats.norm.logpdf(target).sum(axis=1)
    ratio = density_ratio(source, target, n_components=1)
    assert stats.spearmanr(ratio, truth)[0] > 0.999
    many = density_ratio(source, target)
    assert stats.spearmanr(many, truth)[0] > 0.97


def slow_em(rows, mixture, steps):
    """Expectation maximisation component by component with scipy's densities."""
    weights, means, covariances = (np.array(part) for part in mixture)
    n, d = rows.shape
    for _ in range(steps):
        joint = np.stack(
            [
                np.log(w) + stats.multivariate_normal(m, c).logpdf(rows)
                for w, m, c in zip(weights, means, covariances)
            ],
            axis=1,
        )
        share = np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None])
        counts = share.sum(axis=0)
        prior = d**2 / n
        means = np.stack([np.average(rows, axis=0, weights=r) for r in share.T])
        own = [np.cov(rows.T, aweights=r, ddof=0) for r in share.T]
        common = sum(c * s for c, s in zip(counts, own))
        sphere = (np.trace(common) + 1) / (n * d + 1)
        common = (common + prior * sphere * np.eye(d)) / (n + prior)
        covariances = [(c * s + d**2 / c * common) / (c + d**2 / c) for c, s in zip(counts, own)]
        weights = (counts + 1) / (n + len(counts))
    return weights, means, np.array(covariances)


def test_fit_equals_slow_reference():
    rows = np.random.default_rng(1).normal(size=(200, 3)) + np.repeat([[0], [3]], 100, axis=0)
    start = density._start(rows, 3, np.random.default_rng(0))
    for steps in (1, 5):
        fast = density._fit(rows, start, steps, -np.inf)
        for a, b in zip(fast, slow_em(rows, start, steps)):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)
    log_density = np.logaddexp.reduce(
        [np.log(w) + stats.multivariate_normal(m, c).logpdf(rows) for w, m, c in zip(*fast)]
    )
    np.testing.assert_allclose(density._log_density(rows, fast), log_density, rtol=1e-9)


def test_default_tolerance_is_converged():
    source, target = domains(2000, 2000, 16, extra=120)
    target[:800, :8] *= 1.5
    ratio = density_ratio(source, target, n_components=5)
    converged = density_ratio(source, target, n_components=5, max_iter=1000, tol=1e-8)
    assert stats.spearmanr(ratio, converged)[0] > 0.99


@pytest.mark.parametrize('n, m, d', [(150, 150, 256), (600, 600, 256), (1500, 200, 40)])
def test_finds_what_the_source_lacks(n, m, d):
    source, target = domains(n, m, d, extra=m // 7)
    ratio = density_ratio(source, target)
    new = np.arange(m) >= m - m // 7
    above = ratio[new][:, None] > ratio[~new]
    assert above.mean() > 0.97


@pytest.mark.parametrize('n', [5, 50, 150, 300])
def test_small_identical_domains_do_not_look_new(n):
    source, target = np.random.default_rng(n).normal(size=(2, n, 256))
    held_out = density_ratio(source, target).mean()
    fitted = density_ratio(source, target, folds=1).mean()
    assert held_out < 0.5 and held_out < fitted


def test_invariances():
    source, target = domains()
    ratio = density_ratio(source, target)
    same = density_ratio(source, target)
    np.testing.assert_array_equal(ratio, same)
    scale = np.geomspace(1e-3, 1e3, 6)
    np.testing.assert_allclose(
        density_ratio(source * scale + 5, target * scale + 5), ratio, rtol=1e-5, atol=1e-5
    )
    padded = [np.c_[x, np.full(len(x), 3.0), x[:, 0]] for x in (source, target)]
    assert np.isfinite(density_ratio(*padded)).all()


def test_float32_agrees():
    source, target = domains()
    a = density_ratio(source, target)
    b = density_ratio(source.astype(np.float32), target.astype(np.float32))
    assert b.dtype == np.float64
    assert stats.spearmanr(a, b)[0] > 0.999


def test_degenerate_features_stay_finite():
    rng = np.random.default_rng(0)
    assert (density_ratio(np.ones((10, 3)), np.ones((8, 3))) == 0).all()
    assert np.isfinite(density_ratio(np.zeros((10, 3)), np.ones((8, 3)))).all()
    rank_one = rng.normal(size=(400, 1)) @ rng.normal(size=(1, 50))
    assert np.isfinite(density_ratio(rank_one[:200], rank_one[200:])).all()
    assert np.isfinite(density_ratio(rng.normal(size=(2, 9)), rng.normal(size=(2, 9)))).all()
    assert np.isfinite(density_ratio(np.repeat(rank_one[:2], 200, 0), rank_one)).all()


def test_global_random_state_is_untouched():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    density_ratio(*domains())
    np.testing.assert_array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize(
    'change, message',
    [
        ({'source': np.zeros(5)}, r'`source` of shape \(N, D\), but got \(5,\)'),
        ({'source': np.zeros((9, 4))}, r'`source` of shape \(N, 3\), but got \(9, 4\)'),
        ({'source': np.zeros((1, 3))}, 'at least 2 rows for 1 components, but got 1'),
        ({'n_components': 10}, '`source` of at least 10 rows for 10 components, but got 9'),
        ({'n_components': 0}, '`n_components` >= 1'),
        ({'target': np.full((9, 3), np.nan)}, 'finite `target`'),
        ({'n_dims': 0}, '`n_dims` >= 1, but got 0'),
        ({'folds': 0}, '`folds` >= 1'),
        ({'max_iter': 0}, '`max_iter` >= 1'),
        ({'source': np.zeros((1, 3)), 'paper_compat': True}, 'at least 2 rows'),
    ],
)
def test_errors(change, message):
    arguments = dict(source=np.eye(9, 3), target=np.eye(9, 3)) | change
    with pytest.raises(ValueError, match=message):
        density_ratio(**arguments)


def test_fewer_source_rows_than_released_components():
    with pytest.raises(ValueError, match='`source` of at least 3 rows'):
        density_ratio(np.eye(2), np.random.default_rng(0).normal(size=(300, 2)), paper_compat=True)


def test_rows_scored_elsewhere():
    """Whatever is scored, the mixtures and the scale come from source and target alone."""
    source, target = domains()
    fitted = density_ratio(source, target, folds=1)
    at = density_ratio(source, target, at=target[::7])
    np.testing.assert_allclose(at, fitted[::7], rtol=1e-9)
    alone = density_ratio(source, target, at=target[3:4] + 1)
    both = density_ratio(source, target, at=target[3:5] + 1)
    np.testing.assert_allclose(alone, both[:1], rtol=1e-9)
    released = density_ratio(source, target, at=target[:5], paper_compat=True)
    whole = density_ratio(source, target, paper_compat=True)
    np.testing.assert_allclose(released, whole[:5], rtol=1e-9)
    with pytest.raises(ValueError, match=r'`at` of shape \(N, 6\), but got \(4, 5\)'):
        density_ratio(source, target, at=np.zeros((4, 5)))


@pytest.mark.parametrize('kind', ['plain', 'rank one', 'one value', 'huge', 'offset', 'float32'])
def test_few_rows_in_either_domain(kind):
    rng = np.random.default_rng(0)
    for few, many, d in ((2, 2, 1), (2, 300, 64), (7, 20, 256), (20, 300, 16)):
        for n, m in ((few, many), (many, few)):
            source, target = rng.normal(size=(n, d)), rng.normal(size=(m, d))
            if kind == 'rank one':
                source, target = (rows[:, :1] * np.ones(d) for rows in (source, target))
            if kind == 'one value':
                source[:] = source[0]
            if kind == 'huge':
                target[0] *= 1e6
            if kind == 'offset':
                source, target = ((rows + 1e4).astype(np.float32) for rows in (source, target))
            if kind == 'float32':
                source, target = source.astype(np.float32), target.astype(np.float32)
            ratio = density_ratio(source, target)
            assert ratio.shape == (m,) and np.isfinite(ratio).all()


MEMORY = """
import resource, numpy as np
from dense_al.acquisition.functional.density import density_ratio
rows = np.random.default_rng(0).standard_normal((200_000, 64), dtype=np.float32)
density_ratio(rows[:30_000], rows[:30_000], n_components=1)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
density_ratio(rows[:30_000], rows, n_components=1)
print(peak() - before)
"""


def test_memory_grows_by_the_components_only():
    """200,000 x 64 rows are 49 MiB; their 16 components, copies of half of them and scores 40."""
    run = subprocess.run([sys.executable, '-c', MEMORY], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 55
