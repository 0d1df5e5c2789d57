"""Regions of scans: partitions of the points, balanced, of the world or along surfaces."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scan_layouts import motion, street, write_nuscenes, write_semantic_kitti  # noqa: E402
from sklearn.cluster import KMeans  # noqa: E402

from dense_al.regions import scan_base  # noqa: E402
from dense_al.regions.scans import (  # noqa: E402
    BalancedClusters,
    ScanRegions,
    Supervoxels,
    WorldCells,
    world_of,
)

REAL = Path(os.environ.get('DENSE_AL_REAL_DATA', '../shared/data')) / 'pandaset02_lidar'
KINDS = [
    BalancedClusters(),
    BalancedClusters(n_regions=7, tolerance=0.0),
    WorldCells(),
    WorldCells(size=(3.0, 5.0), height=2.0),
    Supervoxels(),
    Supervoxels(voxel=0.2, spacing=2.0, min_points=1),
]


def cloud(n=3000, seed=0):
    """(n, 3) float32, dense near the sensor and sparse far off, as scans are."""
    rng = np.random.default_rng(seed)
    points = street(rng, n) * rng.uniform(0.1, 2.0, (n, 1))
    return points.astype(np.float32)


def ring_scan(n_beams=64, n_columns=1800):
    """(N, 3) float32: the ground and four walls as beams of a LiDAR hit them, with noise."""
    down = np.radians(np.linspace(-25, 3, n_beams))[:, None]
    around = np.linspace(-np.pi, np.pi, n_columns, endpoint=False)[None]
    ray = np.stack(np.broadcast_arrays(
        np.cos(down) * np.cos(around), np.cos(down) * np.sin(around), np.sin(down)), -1
    ).reshape(-1, 3)  # fmt: skip
    with np.errstate(divide='ignore'):
        ground = np.where(ray[:, 2] < 0, -1.73 / ray[:, 2], np.inf)
        walls = np.minimum(60 / np.abs(ray[:, 0]), 14 / np.abs(ray[:, 1]))
    reach = np.minimum(ground, walls) + np.random.default_rng(0).normal(0, 0.02, len(ray))
    return (ray * reach[:, None]).astype(np.float32)


def spread(points, labels):
    """Mean squared distance to the middle of the region."""
    sums = [((points[labels == k] - points[labels == k].mean(axis=0)) ** 2).sum()
            for k in range(labels.max() + 1)]  # fmt: skip
    return sum(sums) / len(points)


def assert_partition(labels, n):
    assert labels.shape == (n,) and labels.dtype == np.int32
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))


HARD = {
    'many': cloud(),
    'one': cloud(1),
    'two': cloud(2),
    'few': cloud(13),
    'same place': np.full((500, 3), 3.25, np.float32),
    'a line': np.linspace(0, 90, 800, dtype=np.float32)[:, None] * np.ones(3, np.float32),
    'two places': np.repeat(np.array([[0, 0, 0], [500, 9, 1]], np.float32), [900, 100], axis=0),
    'one far off': np.concatenate([cloud(2000), np.float32([[9000, -9000, 50]])]),
}


@pytest.mark.parametrize('regions', KINDS, ids=str)
@pytest.mark.parametrize('points', HARD.values(), ids=HARD)
def test_every_point_is_in_one_region(regions, points):
    pose = motion((1, 2, 30), (100.0, -50.0, 3.0))
    before = points.copy()
    labels = regions.map(points, pose)
    assert_partition(labels, len(points))
    np.testing.assert_array_equal(points, before)
    np.testing.assert_array_equal(labels, regions.map(points.copy(), pose.copy()))


@pytest.mark.parametrize('points', HARD.values(), ids=HARD)
@pytest.mark.parametrize('n, tolerance', [(20, 0.05), (7, 0.0), (3, 0.3), (1, 0.05), (13, 0.999)])
def test_clusters_are_balanced(points, n, tolerance):
    sizes = np.bincount(BalancedClusters(n_regions=n, tolerance=tolerance).map(points, np.eye(4)))
    even = len(points) / n
    assert len(sizes) == min(n, len(points))
    if even >= 1:
        assert sizes.min() >= min((1 - tolerance) * even, np.floor(even))
        assert sizes.max() <= max((1 + tolerance) * even, np.ceil(even))


@pytest.mark.parametrize('seed', range(3))
def test_sweeps_make_clusters_more_compact(seed):
    points = cloud(4000, seed)
    spreads = [
        spread(points, BalancedClusters(sweeps=sweeps).map(points, np.eye(4)))
        for sweeps in (0, 1, 4, 20)
    ]
    assert spreads[0] > 1.05 * spreads[1] and spreads[1] >= spreads[2] >= spreads[3]


def test_clusters_are_as_good_as_the_best_balanced_ones():
    """Against exact balanced k-means: Lloyd's steps, each an optimal transport."""
    from scipy.optimize import linear_sum_assignment

    points, n = cloud(600, seed=4), 6
    best = np.inf
    for seed in range(3):
        start = np.random.default_rng(seed).choice(len(points), n, replace=False)
        centres = points[start].astype(np.float64)
        for _ in range(30):
            costs = ((points[:, None] - centres[None]) ** 2).sum(axis=-1)
            slots = np.repeat(np.arange(n), len(points) // n)
            labels = slots[linear_sum_assignment(costs[:, slots])[1]]
            centres = np.stack([points[labels == k].mean(axis=0) for k in range(n)])
        best = min(best, spread(points, labels))
    ours = BalancedClusters(n_regions=n, tolerance=0.0, sweeps=20).map(points, np.eye(4))
    assert spread(points, ours) < 1.1 * best


def test_clusters_are_about_as_wide_as_those_of_k_means():
    """Mean extent along x or y on a scan of rings, where k-means is free in its sizes."""
    points = ring_scan()

    def width(labels):
        sides = [np.ptp(points[labels == k, :2], axis=0).max() for k in range(20)]
        return np.mean(sides)

    free = KMeans(20, n_init=1, random_state=0).fit(points).labels_
    ours = BalancedClusters().map(points, np.eye(4))
    assert np.bincount(free).max() > 1.5 * np.bincount(ours).max()
    assert width(ours) < 1.25 * width(free)


def test_cells_by_hand():
    points = np.array([[0, 0, 0], [3.9, 0, 7], [4, 0, -1], [-0.1, 2, 0]], np.float32)
    columns = WorldCells(size=(4.0, 2.0))
    assert columns.map(points, np.eye(4)).tolist() == [1, 1, 2, 0]
    assert columns.cells(points, np.eye(4)).tolist() == [[-1, 1], [0, 0], [1, 0]]
    cubes = WorldCells(size=(4.0, 2.0), height=2.0)
    assert cubes.map(points, np.eye(4)).tolist() == [1, 2, 3, 0]
    assert cubes.cells(points, np.eye(4)).tolist() == [[-1, 1, 0], [0, 0, 0], [0, 0, 3], [1, 0, -1]]
    turned = motion((0, 0, 90), (100.0, 0.0, 0.0))
    assert columns.cells(points[:2] + np.float32([0, 0.5, 0]), turned).tolist() == [
        [24, 0],
        [24, 1],
    ]


@pytest.mark.parametrize('write', [write_semantic_kitti, write_nuscenes])
@pytest.mark.parametrize('height', [None, 2.0])
def test_a_place_has_the_same_cell_in_all_frames(tmp_path, write, height):
    from dense_al.datasets.nuscenes import read_nuscenes
    from dense_al.datasets.semantic_kitti import read_semantic_kitti

    layout = write(tmp_path)
    read = read_semantic_kitti if write is write_semantic_kitti else read_nuscenes
    source, regions = read(layout.root), WorldCells(size=(4.0, 4.0), height=height)
    size = np.array([4.0, 4.0, height or 1])[: 2 if height is None else 3]
    for record in source.records:
        scan = source.load_scan(record)
        found = regions.cells(scan.points, scan.pose)[regions.map(scan.points, scan.pose)]
        assert found.dtype == np.int64
        world = layout.world[record.sequence][layout.orders[record.name]][:, : len(size)]
        inside = (np.abs(world / size - np.round(world / size)) > 1e-4).all(axis=1)
        assert inside.mean() > 0.98
        np.testing.assert_array_equal(found[inside], np.floor(world / size)[inside])


def test_world_of_keeps_precision_far_from_the_origin():
    pose = motion((3, -2, 140), (1e6, -2e6, 10.0))
    points = cloud(50)
    expected = (pose @ np.column_stack([points.astype(np.float64), np.ones(50)]).T).T[:, :3]
    np.testing.assert_allclose(world_of(points, pose), expected, rtol=0, atol=1e-8)


def test_ranked_cells_are_those_of_numpy():
    cells = np.random.default_rng(0).integers(-3, 3, (200, 3)) * [1, 1000, 1]
    found, rows = scan_base.ranked_cells(cells.astype(np.float64))
    expected, inverse = np.unique(cells, axis=0, return_inverse=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(rows, inverse.ravel())


def test_supervoxels_follow_edges():
    """A floor and a wall that meet: normals keep them apart where nearness alone does not."""
    rng = np.random.default_rng(0)
    floor = np.column_stack([rng.uniform(0, 8, (4000, 2)), rng.normal(0, 0.01, 4000)])
    wall = np.column_stack(
        [rng.normal(8, 0.01, 3000), rng.uniform(0, 8, 3000), rng.uniform(0, 6, 3000)]
    )
    points = np.concatenate([floor, wall]).astype(np.float32)
    kind = np.repeat([0, 1], [4000, 3000])

    def mixed(**options):
        labels = Supervoxels(voxel=0.4, spacing=6.0, **options).map(points, np.eye(4))
        counts = np.stack(
            [np.bincount(labels[kind == k], minlength=labels.max() + 1) for k in (0, 1)]
        )
        return counts.min(axis=0).sum() / len(points)

    assert mixed(normal_weight=1.0) < 0.02 and mixed(normal_weight=0.0) > 0.05


def test_small_supervoxels_join_the_nearest():
    blob = np.random.default_rng(0).uniform(0, 0.4, (300, 3))
    groups = [blob, blob + [20, 0, 0], blob[:30] + [13, 0, 0], blob[:10] + [2, 0, 0]]
    points = np.concatenate(groups).astype(np.float32)
    group = np.repeat(np.arange(4), [300, 300, 30, 10])

    def regions(min_points):
        labels = Supervoxels(spacing=1.0, min_points=min_points).map(points, np.eye(4))
        assert_partition(labels, len(points))
        assert all(len(set(labels[group == g])) == 1 for g in range(4))
        return [int(labels[group == g][0]) for g in range(4)]

    first, second, third, fourth = regions(100)
    assert third == second and fourth == first and first != second
    assert len(set(regions(20))) == 3 and len(set(regions(1))) == 4
    assert len(set(regions(1000))) <= 2


def test_parts_without_a_seed_join_the_nearest():
    blob = np.random.default_rng(0).uniform(0, 1, (300, 3))
    groups = [blob, blob[:200] + [6, 0, 0], blob + [8.4, 0, 0]]  # seeds lie in x < 8 and x >= 8
    points, group = np.concatenate(groups).astype(np.float32), np.repeat([0, 1, 2], [300, 200, 300])
    labels = Supervoxels(voxel=0.2, spacing=8.0, min_points=1).map(points, np.eye(4))
    assert labels.max() == 1 and (labels[group > 0] == labels[-1]).all()
    assert (labels[group == 0] != labels[-1]).all()


def test_supervoxels_do_not_end_at_the_grid_of_seeds():
    """Seeds at 2, 6 and 8.5 alone would leave 1.75 m to the last; they move before it is done."""
    x, y = np.meshgrid(np.arange(0, 9, 0.05), np.arange(0, 0.4, 0.05))
    points = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3).astype(np.float32)
    labels = Supervoxels(voxel=0.2, spacing=4.0, min_points=1).map(points, np.eye(4))
    widths = [np.ptp(points[labels == k, 0]) for k in range(labels.max() + 1)]
    assert len(widths) == 3 and min(widths) > 1.9


def test_parameters_of_supervoxels_matter():
    points = cloud(6000)
    counts = [
        Supervoxels(spacing=spacing, min_points=low).map(points, np.eye(4)).max() + 1
        for spacing, low in ((20.0, 20), (4.0, 100), (4.0, 20))
    ]
    assert counts[0] < counts[2] and counts[1] < counts[2]
    base = Supervoxels(min_points=20).map(points, np.eye(4))
    for options in (dict(voxel=1.0), dict(spatial_weight=5.0)):
        assert (Supervoxels(min_points=20, **options).map(points, np.eye(4)) != base).any()


def test_keys_depend_on_class_parameters_and_versions(monkeypatch):
    assert len({kind.key for kind in KINDS}) == len(KINDS)
    assert all(isinstance(kind, ScanRegions) for kind in KINDS)
    assert WorldCells(size=[4, 4]).key == WorldCells().key
    assert repr(WorldCells()) == 'WorldCells(size=[4.0, 4.0], height=None)'
    for kind in KINDS:
        assert type(kind)(**kind.parameters).key == kind.key
    before = Supervoxels().key
    monkeypatch.setattr('dense_al.regions.supervoxels.version', lambda package: '0.0')
    assert Supervoxels().key != before


def test_only_world_cells_need_the_pose():
    points, moved = cloud(), motion((0, 0, 40), (31.0, 7.0, 0.0))
    for kind in KINDS:
        same = np.array_equal(kind.map(points, np.eye(4)), kind.map(points, moved))
        assert same is not kind.needs_pose


POINTS, POSE = cloud(9), np.eye(4)
UNFINITE = np.where(np.arange(9)[:, None] == 4, np.float32(np.nan), POINTS)


@pytest.mark.parametrize(
    'build, message',
    [
        (lambda: BalancedClusters(n_regions=0), '`n_regions` to be a positive integer, but got 0'),
        (lambda: BalancedClusters(tolerance=-0.1), '`tolerance` to be a number >= 0'),
        (lambda: BalancedClusters(tolerance=1), '`tolerance` to be below 1, but got 1'),
        (lambda: BalancedClusters(sweeps=-1), '`sweeps` to be an integer >= 0, but got -1'),
        (lambda: WorldCells(size=4.0), '`size` to be two numbers, but got 4.0'),
        (lambda: WorldCells(size=(1, 2, 3)), '`size` to be two numbers'),
        (lambda: WorldCells(size=(4, 0)), '`size` to be a positive number, but got 0'),
        (lambda: WorldCells(height=0), '`height` to be a positive number, but got 0'),
        (lambda: Supervoxels(voxel=0), '`voxel` to be a positive number'),
        (lambda: Supervoxels(spacing=0.1), '`spacing` to be at least `voxel`, but got 0.1'),
        (lambda: Supervoxels(spatial_weight=0), '`spatial_weight` to be a positive number'),
        (lambda: Supervoxels(normal_weight=-1), '`normal_weight` to be a number >= 0'),
        (lambda: Supervoxels(min_points=0), '`min_points` to be a positive integer'),
        (lambda: WorldCells().map(POINTS, np.eye(3)), r'`pose` of shape \(4, 4\)'),
        (lambda: WorldCells().map(POINTS, POSE.astype(np.float32)), 'and float32'),
        (lambda: WorldCells().cells(POINTS, POSE * np.nan), '`pose` .*finite'),
        (lambda: WorldCells(size=(1e-9, 1)).map(POINTS, POSE), 'points within 1048576 cells'),
        (lambda: WorldCells().map(np.float32([[3e38, 0, 0], [0, 0, 0]]), POSE), 'far off'),
    ],
)
def test_errors_name_argument_and_value(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize('regions', KINDS[::2], ids=str)
@pytest.mark.parametrize(
    'points, message',
    [
        (POINTS.astype(np.float64), 'dtype float32, but got .* float64'),
        (POINTS[:, :2], r'shape \(N, 3\) .*but got \(9, 2\)'),
        (POINTS[:0], r'but got \(0, 3\)'),
        (UNFINITE, 'finite `points`, but got .*nan.* in row 4'),
    ],
)
def test_points_are_checked(regions, points, message):
    with pytest.raises(ValueError, match=message):
        regions.map(points, POSE)


@pytest.mark.real_data
def test_real_scans():
    """On a real scan: balance, and regions that are purer than clusters blind to surfaces."""
    if not REAL.is_dir():
        pytest.skip(f'needs {REAL}; DENSE_AL_REAL_DATA is the folder of the real sample data')
    from dense_al.datasets.semantic_kitti import read_semantic_kitti

    source = read_semantic_kitti(REAL, sequences=['00'], label_map=REAL / 'pandaset.yaml')
    scan = source.load_scan(source.records[3])
    classes = source.load_labels(source.records[3]).astype(int)

    def purity(labels):
        counts = np.bincount(labels * 256 + classes, minlength=256 * (labels.max() + 1))
        return counts.reshape(-1, 256)[:, :255].max(axis=1).sum() / (classes != 255).sum()

    balanced = BalancedClusters().map(scan.points, scan.pose)
    sizes = np.bincount(balanced)
    assert 0.95 * len(scan) / 20 <= sizes.min() and sizes.max() <= 1.05 * len(scan) / 20
    surfaces = Supervoxels().map(scan.points, scan.pose)
    as_many = BalancedClusters(n_regions=surfaces.max() + 1).map(scan.points, scan.pose)
    assert 100 < surfaces.max() < 400 and np.bincount(surfaces).min() >= 100
    assert purity(surfaces) > purity(as_many) + 0.02
