"""Box-in-box pairs of 1000 images with 100 boxes, and 50 of 1000 groups of pairs by k-means++.

Both as ratios in one run: pairs to a plain loop over images and classes, k-means++ to the matrix
products it cannot do without, as numpy multiplies.
"""

import resource
import time

import numpy as np

from dense_al.acquisition.functional import grouped_kmeans_pp
from dense_al.acquisition.functional.boxes import box_in_box_pairs, box_in_box_pairs_batched

PAIRS, WIDTH, GROUPS, CHOSEN, TRIALS = 5000, 8192, 1000, 50, 5


def loop_reference(boxes, labels, scores, tags):
    """Image by image and class by class, all pairs of a class in one matrix."""
    pairs = []
    for c in tags:
        rows = np.flatnonzero((labels == c) & (scores > 0.1))
        b = boxes[rows]
        low = np.maximum(b[:, None, :2], b[None, :, :2])
        high = np.minimum(b[:, None, 2:], b[None, :, 2:])
        shared = np.clip(high - low + 1, 0, None).prod(axis=2)
        cover = shared / (b[:, 2:] - b[:, :2] + 1).prod(axis=1)[:, None]
        area = (b[:, 2:] - b[:, :2]).prod(axis=1)
        small, big = np.nonzero((cover >= 0.8) & (area[None] >= 3 * area[:, None]))
        pairs.append(np.stack([rows[small], rows[big]], axis=1))
    pairs = np.concatenate(pairs)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def world(n_images, n_boxes, n_tags, low_scores, seed=0):
    rng = np.random.default_rng(seed)
    n = n_images * n_boxes
    corner = rng.uniform(0, 400, (n, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 300, (n, 2))], axis=1)
    tags = np.stack([rng.permutation(20)[:n_tags] for _ in range(n_images)])
    labels = tags[np.repeat(np.arange(n_images), n_boxes), rng.integers(0, n_tags, n)]
    scores = rng.random(n) if low_scores else rng.uniform(0.2, 1, n)
    return boxes.astype(np.float32), labels, scores.astype(np.float32), tags


def pairs():
    for n_tags, low_scores in ((3, True), (5, False)):
        boxes, labels, scores, tags = world(1000, 100, n_tags, low_scores)
        offsets = np.arange(0, 100_001, 100)
        images = [slice(a, a + 100) for a in offsets[:-1]]
        times = {'batched': [], 'one by one': [], 'loop over classes': []}
        for _ in range(5):
            start = time.perf_counter()
            pairs, _ = box_in_box_pairs_batched(boxes, labels, scores, offsets, tags)
            times['batched'].append(time.perf_counter() - start)
            start = time.perf_counter()
            single = [
                box_in_box_pairs(boxes[i], labels[i], scores[i], t) for i, t in zip(images, tags)
            ]
            times['one by one'].append(time.perf_counter() - start)
            start = time.perf_counter()
            loop = [loop_reference(boxes[i], labels[i], scores[i], t) for i, t in zip(images, tags)]
            times['loop over classes'].append(time.perf_counter() - start)
        for each in (single, loop):
            np.testing.assert_array_equal(
                pairs, np.concatenate([p + a for p, a in zip(each, offsets)])
            )
        plain = np.median(times['loop over classes'])
        print(f'1000 images x 100 boxes, {n_tags} tags: {len(pairs)} pairs')
        for name, values in times.items():
            mid = np.median(values)
            print(f'  {name:18} {mid:.3f} s  {plain / mid:.1f} times as fast as the plain loop')


def products(features, codes, rng):
    """The seconds of one product per step of all rows with those of as many groups as are tried."""
    start = time.perf_counter()
    for _ in range(CHOSEN - 1):
        drawn = np.unique(codes[rng.integers(0, PAIRS, TRIALS)])
        features @ features[np.isin(codes, drawn)].T
    return time.perf_counter() - start


def groups():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((PAIRS, WIDTH), dtype=np.float32)
    np.maximum(features, 0, out=features)
    codes = rng.integers(0, GROUPS, PAIRS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times, processor, floor = [], [], []
    for seed in range(5):
        start, used = time.perf_counter(), time.process_time()
        found = grouped_kmeans_pp(features, codes, CHOSEN, rng=np.random.default_rng(seed))
        times.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
        if seed == 0:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert len(set(found.tolist())) == CHOSEN
        floor.append(products(features, codes, rng))
    mid, least = np.median(times), np.median(floor)
    print(f'{PAIRS} pairs x {WIDTH} float32 of {GROUPS} images, {CHOSEN} images chosen')
    print(f'  k-means++ {mid:.2f} s (best {min(times):.2f}, processor {np.median(processor):.2f})')
    print(
        f'  products alone, by numpy {least:.2f} s (best {min(floor):.2f}): ratio {mid / least:.2f}'
    )
    print(f'  memory beyond the features ({features.nbytes >> 20} MB): {peak >> 10} MB')


if __name__ == '__main__':
    groups()
    pairs()
