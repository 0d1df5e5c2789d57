"""Box-in-box pairs of 1000 images with 100 boxes: batched, one by one, and a loop over classes."""

import time

import numpy as np

from dense_al.acquisition.functional.boxes import box_in_box_pairs, box_in_box_pairs_batched


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


def main():
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
        best = np.median(times['batched'])
        print(f'1000 images x 100 boxes, {n_tags} tags: {len(pairs)} pairs')
        for name, values in times.items():
            print(f'  {name:18} {np.median(values):.3f} s  ratio {np.median(values) / best:.1f}')


if __name__ == '__main__':
    main()
