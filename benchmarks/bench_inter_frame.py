"""Inter-frame scores and selection against plain loops over neighbours, interleaved in one run.

Targets: a frame of 120,000 points against 24 neighbours at least 8 times as fast as the trees of
scikit-learn and a divergence per neighbour (the released way), 20 times in the approximate mode.
"""

import time

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import kl_div
from scipy.stats import entropy, spearmanr
from sklearn.neighbors import KDTree

from dense_al.acquisition.functional import (
    inter_frame_scores,
    search_tree,
    select_inter_frame,
)

TREES = {'scipy': cKDTree, 'scikit-learn': KDTree}
RELEASED = 'scikit-learn, trees given'


def street(n, offset, rng):
    """Points of a street: ground thinning out with distance, two facades, 2 cm noise."""
    n_ground = int(0.6 * n)
    radius = 3 + 47 * rng.random(n_ground) ** 2
    angle = rng.random(n_ground) * 2 * np.pi
    y = np.clip(radius * np.sin(angle), -10, 10)
    ground = np.c_[radius * np.cos(angle) + offset, y, np.zeros(n_ground)]
    n_wall = n - n_ground
    x = rng.choice([-50, 50], n_wall) * rng.random(n_wall) ** 2 + offset
    wall = np.c_[x, rng.choice([-10, 10], n_wall), rng.random(n_wall) * 6]
    return (np.concatenate([ground, wall]) + rng.normal(0, 0.02, (n, 3))).astype(np.float32)


def predictions(xyz, n_classes, rng):
    slope = np.random.default_rng(1).normal(size=(3, n_classes))
    logits = 2 * np.sin(0.7 * xyz @ slope) + rng.normal(0, 0.7, (len(xyz), n_classes))
    probs = np.exp(logits)
    return (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)


def plain_scores(probs, xyz, neighbour_probs, trees):
    """One neighbour at a time; the trees are built beforehand."""
    total, divergence, count = probs.copy(), np.zeros(len(probs)), np.ones(len(probs))
    for p, tree in zip(neighbour_probs, trees):
        distance, nearest = (np.ravel(found) for found in tree.query(xyz))
        hit = distance <= 0.1
        total[hit] += p[nearest[hit]]
        divergence[hit] += kl_div(probs[hit] + 1e-5, p[nearest[hit]] + 1e-5).sum(axis=1)
        count[hit] += 1
    return divergence / np.maximum(count - 1, 1), entropy(total / count[:, None], axis=1), count - 1


def plain_selection(divergence, gain, size, centre, budget):
    """Every candidate against every pick, vectorised over the picks."""
    picks = []
    for i in np.argsort(-divergence, kind='stable').tolist():
        gap = ((centre[picks] - centre[i]) ** 2).sum(axis=1)
        close = [p for p, g in zip(picks, gap < 25) if g]
        if close:
            if gain[min(close)] < gain[i]:
                picks[picks.index(min(close))] = i
                budget += size[min(close)] - size[i]
            continue
        budget -= size[i]
        if budget < 0:
            break
        picks.append(i)
    return sorted(picks)


def clock(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def bench_scores(n=120_000, k=24, n_classes=19):
    rng = np.random.default_rng(0)
    xyz = [street(n, 0.8 * step, rng) for step in (0, *range(-k // 2, 0), *range(1, k // 2 + 1))]
    probs = [predictions(x, n_classes, rng) for x in xyz]
    trees = {name: [cls(x) for x in xyz[1:]] for name, cls in TREES.items()}
    data = probs[0], xyz[0], probs[1:], xyz[1:]
    ours = [search_tree(x) for x in xyz[1:]]
    runs = {
        'exact': lambda: inter_frame_scores(*data),
        'exact, trees given': lambda: inter_frame_scores(*data, neighbour_trees=ours),
        'approximate': lambda: inter_frame_scores(*data, approximate=True),
        'scipy, trees given': lambda: plain_scores(probs[0], xyz[0], probs[1:], trees['scipy']),
        RELEASED: lambda: plain_scores(probs[0], xyz[0], probs[1:], trees['scikit-learn']),
    }
    times, results = {name: [] for name in runs}, {}
    for _ in range(3):
        for name, run in runs.items():
            seconds, results[name] = clock(run)
            times[name].append(seconds)
    print(f'inter_frame_scores: {n} points, {k} neighbours, {n_classes} classes')
    exact = results['exact']
    for name, atol in (('exact, trees given', 0), ('scipy, trees given', 1e-5), (RELEASED, 1e-5)):
        for found, expected in zip(results[name], exact):  # divergence, entropy, matches
            np.testing.assert_allclose(found, expected, rtol=0, atol=atol, err_msg=name)
    cell = np.unique(np.floor(xyz[0] / 3), axis=0, return_inverse=True)[1].ravel()
    for name, values in times.items():
        ratio = np.median(times[RELEASED]) / np.median(values)
        print(f'  {name:25} {np.median(values):.2f} s  speed-up {ratio:.1f}')
    for i, name in enumerate(('divergence', 'entropy')):
        near = results['approximate'][i]
        mean = [np.bincount(cell, v) / np.bincount(cell) for v in (exact[i], near)]
        print(
            f'  approximate {name}: rank correlation of points'
            f' {spearmanr(exact[i], near)[0]:.3f}, of 3 m cells {spearmanr(*mean)[0]:.3f}'
        )
    print(f'  matches kept {results["approximate"][2].sum() / exact[2].sum():.3f}')


def bench_selection(n):
    rng = np.random.default_rng(1)
    drive = np.cumsum(rng.normal(0, 1, (n // 100, 3)) * [10, 10, 0], axis=0)
    centre = np.repeat(drive, 100, axis=0) + rng.normal(0, 12, (n, 3)) * [1, 1, 0.1]
    # Neighbouring regions look alike, so that candidates do conflict.
    smooth = np.sin(centre @ rng.normal(size=3) / 40) + rng.normal(0, 1, n)
    data = dict(divergence=smooth - smooth.min() + 0.1, entropy=rng.random(n))
    data |= dict(size=rng.integers(20, 200, n), centre=centre)
    budget = int(0.01 * data['size'].sum())
    runs = {
        'strict': lambda: select_inter_frame(**data, candidates=np.ones(n, bool), budget=budget),
        'paper': lambda: select_inter_frame(
            **data, candidates=np.ones(n, bool), budget=budget, mode='paper'
        ),
        'every pair': lambda: plain_selection(*data.values(), budget),
    }
    print(f'select_inter_frame: {n} regions')
    times, results = {name: [] for name in runs}, {}
    for _ in range(3):
        for name, run in runs.items():
            seconds, results[name] = clock(run)
            times[name].append(seconds)
    assert sorted(results['paper'].tolist()) == results['every pair']
    for name, values in times.items():
        ratio = np.median(times['every pair']) / np.median(values)
        picked = len(results[name])
        print(f'  {name:12} {np.median(values):.3f} s  speed-up {ratio:.1f}, {picked} picked')


if __name__ == '__main__':
    bench_scores()
    for n_regions in (100_000, 400_000):
        bench_selection(n_regions)
