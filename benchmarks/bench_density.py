"""Density ratio, 20,000 x 256 and 10 components, against a converged fit and scikit-learn.

Then the memory of a target of 1,000,000 x 64, in a process of its own.
"""

import multiprocessing
import resource
import time

import numpy as np
from scipy.stats import spearmanr

from dense_al.acquisition.functional.density import _project, _whiten, density_ratio

N, D, NEW = 20_000, 256, 3_000


def separated(rng):
    centres = np.random.default_rng(5).normal(size=(10, D)) * 6
    return centres[rng.integers(10, size=N)] + rng.normal(size=(N, D))


def overlapping(rng):
    """40 low-rank heavy-tailed modes behind a ReLU."""
    shape = np.random.default_rng(5)
    centres, axes = shape.normal(size=(40, D)) * 0.6, shape.normal(size=(40, 24, D)) / 5
    mode = rng.integers(40, size=N)
    rows = centres[mode] + 0.1 * rng.normal(size=(N, D))
    for k in range(40):
        own = mode == k
        rows[own] += rng.standard_t(4, (own.sum(), 24)) @ axes[k]
    return np.maximum(rows, 0)


def main():
    try:
        import sklearn  # noqa: F401

        with_sklearn = True
    except ImportError:
        with_sklearn = False
    for world in (separated, overlapping):
        compare(world, with_sklearn)
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        pool.apply(measure_memory)


def compare(world, with_sklearn):
    source = world(np.random.default_rng(1)).astype(np.float32)
    target = world(np.random.default_rng(2)).astype(np.float32)
    target[:NEW] += 0.4 * np.random.default_rng(9).normal(size=D).astype(np.float32)

    def run(**options):
        start = time.perf_counter()
        ratio = density_ratio(source, target, n_components=10, **options)
        return time.perf_counter() - start, ratio

    runs = [run() for _ in range(3)]
    ours, ratio = np.median([seconds for seconds, _ in runs]), runs[0][1]
    slow, converged = run(tol=1e-9, max_iter=3000)
    other = run(seed=1)[1]
    print(f'{world.__name__}, {N} x {D}, 10 components')
    print(
        f'  robust     {ours:.2f} s, rank correlation with converged'
        f' {spearmanr(ratio, converged)[0]:.4f}, with another start'
        f' {spearmanr(ratio, other)[0]:.3f}, AUC of the planted mode {auc(ratio):.3f},'
        f' {auc(other):.3f}'
    )
    print(f'  converged  {slow:.2f} s, ratio {slow / ours:.1f}')
    if with_sklearn:
        seconds, released = run(paper_compat=True)
        print(
            f'  released   {seconds:.2f} s, ratio {seconds / ours:.1f}, rank correlation'
            f' {spearmanr(ratio, released)[0]:.3f}, AUC {auc(released):.3f}'
        )
        centre, projection = _whiten(source, target, 16)
        rows = [_project(values, centre, projection) for values in (source, target)]
        same, restarted = (
            density_ratio(*rows, n_components=10, paper_compat=True, seed=seed) for seed in (0, 1)
        )
        print(
            f'  released, on the 16 components that robust looks at: rank correlation'
            f' {spearmanr(ratio, same)[0]:.3f}, with another start of its own'
            f' {spearmanr(same, restarted)[0]:.3f}, AUC {auc(same):.3f}, {auc(restarted):.3f}'
        )


def auc(ratio):
    """Chance that a row of the planted mode scores above another one."""
    ranks = ratio.argsort().argsort()[:NEW].sum() - NEW * (NEW - 1) / 2
    return ranks / (NEW * (N - NEW))


def measure_memory():
    """Peak resident memory above that of the features themselves."""
    rng = np.random.default_rng(0)
    source, target = (
        rng.standard_normal((rows, 64), dtype=np.float32) for rows in (200_000, 1_000_000)
    )
    target[:50_000] += 1
    before = peak()
    start = time.perf_counter()
    density_ratio(source, target)
    print('robust, 1000000 x 64 target, 200000 x 64 source, float32, 10 components')
    print(
        f'  {time.perf_counter() - start:.1f} s, features'
        f' {(source.nbytes + target.nbytes) / 2**20:.0f} MiB, above them'
        f' {peak() - before:.0f} MiB'
    )


def peak():
    """Largest resident memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == '__main__':
    main()
