"""Regions of LiDAR scans: time per scan on one core, and how compact and how pure they are."""

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from dense_al.datasets.semantic_kitti import read_semantic_kitti
from dense_al.regions.scans import BalancedClusters, Supervoxels, WorldCells


def generated(n_points, seed):
    """Points of a ground, walls and posts as 64 beams hit them, and which of them they are."""
    rng = np.random.default_rng(seed)
    columns = n_points // 64
    down = np.radians(np.linspace(-25, 3, 64))[:, None]
    around = np.linspace(-np.pi, np.pi, columns, endpoint=False)[None]
    ray = np.stack(np.broadcast_arrays(
        np.cos(down) * np.cos(around), np.cos(down) * np.sin(around), np.sin(down)), -1
    ).reshape(-1, 3)  # fmt: skip
    with np.errstate(divide='ignore'):
        surfaces = [np.where(ray[:, 2] < 0, -1.73 / ray[:, 2], np.inf)]
        surfaces += [60 / np.abs(ray[:, 0]), 14 / np.abs(ray[:, 1])]
    for _ in range(40):
        middle, radius = rng.uniform((-50, -13), (50, 13)), rng.uniform(0.2, 1.5)
        along = ray[:, :2] @ middle
        flat = (ray[:, :2] ** 2).sum(axis=1)
        root = along**2 - flat * (middle @ middle - radius**2)
        reach = (along - np.sqrt(np.maximum(root, 0))) / flat
        low = (root > 0) & (reach > 2) & (reach * ray[:, 2] < 2)
        surfaces.append(np.where(low, reach, np.inf))
    reach = np.min(surfaces, axis=0)
    classes = np.minimum(np.argmin(surfaces, axis=0), 3)
    points = ray * (reach + rng.normal(0, 0.02, len(reach)))[:, None]
    return points.astype(np.float32), classes, np.eye(4)


def scans_of(args):
    """Scans as points, classes and pose: real ones where a folder is given."""
    if args.root is None:
        return [generated(args.points, seed) for seed in range(args.scans)]
    source = read_semantic_kitti(args.root, label_map=args.label_map)
    chosen = source.records[:: max(1, len(source) // args.scans)][: args.scans]
    scans = [(source.load_scan(record), source.load_labels(record)) for record in chosen]
    return [(scan.points, classes, scan.pose) for scan, classes in scans]


def width(points, labels):
    """Mean over the regions of the larger extent along x and y, in metres."""
    order = labels.argsort(kind='stable')
    parts = np.split(points[order, :2], np.cumsum(np.bincount(labels))[:-1])
    return np.mean([np.ptp(part, axis=0).max() for part in parts])


def spread(points, labels):
    """Root of the mean squared distance to the middle of the region, in metres."""
    counts, values = np.bincount(labels), points.astype(np.float64)
    means = np.stack([np.bincount(labels, values[:, i]) for i in range(3)], 1) / counts[:, None]
    return np.sqrt(((values - means[labels]) ** 2).sum(axis=1).mean())


def purity(labels, classes):
    """Share of the points that have the most frequent class of their region."""
    known = classes != 255
    pairs = labels[known].astype(np.int64) * 256 + classes[known]
    counts = np.bincount(pairs, minlength=256 * (labels.max() + 1)).reshape(-1, 256)
    return counts.max(axis=1).sum() / known.sum()


def measured(function, scans):
    """Rows of seconds, regions, least and largest share of the mean size, width, spread, purity."""
    rows = []
    for points, classes, pose in scans:
        start = time.perf_counter()
        labels = function(points, pose)
        seconds = time.perf_counter() - start
        sizes = np.bincount(labels)
        rows.append((seconds, len(sizes), sizes.min() / sizes.mean(), sizes.max() / sizes.mean(),
                     width(points, labels), spread(points, labels),
                     purity(labels, classes)))  # fmt: skip
    return np.median(rows, axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--points', type=int, default=120_000)
    parser.add_argument('--scans', type=int, default=5)
    parser.add_argument('--regions', type=int, default=20)
    parser.add_argument('--root', type=Path, help='a data set in the layout of SemanticKITTI')
    parser.add_argument('--label-map', default='semantic_kitti')
    args = parser.parse_args()
    scans = scans_of(args)
    print(f'{len(scans)} scans of about {np.mean([len(scan[0]) for scan in scans]):.0f} points, '
          'one thread; medians')  # fmt: skip

    def k_means(points, pose):
        return KMeans(args.regions, n_init=1, random_state=0).fit(points).labels_

    ours = [BalancedClusters(n_regions=args.regions), WorldCells(), Supervoxels()]
    kinds = {'KMeans (sklearn)': k_means, **{str(kind): kind.map for kind in ours}}
    with threadpool_limits(1):
        k_means(*scans[0][::2])
        base = None
        for title, function in kinds.items():
            seconds, count, least, largest, wide, root, pure = measured(function, scans)
            base = base or seconds
            print(f'  {title}\n    {1000 * seconds:.0f} ms, ratio {base / seconds:.2f}; '
                  f'{count:.0f} regions of {least:.2f} to {largest:.2f} of the mean size, '
                  f'{wide:.1f} m wide, spread {root:.2f} m, purity {pure:.3f}')  # fmt: skip


if __name__ == '__main__':
    main()
