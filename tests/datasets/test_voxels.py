"""Scans as voxels and back."""

import numpy as np
import pytest

from dense_al.datasets.voxels import (
    Augment,
    NearLabels,
    Voxelize,
    augment,
    majority,
    near_labels,
    voxelize,
)


def cloud(n=3000, seed=0, extent=8.0):
    rng = np.random.default_rng(seed)
    points = np.c_[rng.uniform(-extent, extent, (n, 3)), rng.random(n)].astype(np.float32)
    labels = rng.integers(0, 5, n).astype(np.uint8)
    labels[rng.random(n) < 0.3] = 255
    return points, labels


def by_loop(points, size, labels):
    """Cell -> rows of its points, and its features and label, the slow way."""
    cells = np.floor(points[:, :3].astype(np.float64) / size).astype(int)
    cells -= cells.min(axis=0)
    rows = {}
    for row, cell in enumerate(map(tuple, cells.tolist())):
        rows.setdefault(cell, []).append(row)
    found = {}
    for cell, own in rows.items():
        counts = np.bincount(labels[own][labels[own] != 255], minlength=1)
        label = counts.argmax() if counts.any() else 255
        found[cell] = own, points[own].astype(np.float64).mean(0), label
    return found


@pytest.mark.parametrize('size', [0.05, 0.7, 3.0, 100.0])
def test_against_a_loop(size):
    points, labels = cloud()
    found, expected = voxelize(points, size, labels=labels), by_loop(points, size, labels)
    assert [*map(tuple, found.coords.tolist())] == sorted(expected)
    for number, (rows, mean, label) in enumerate(expected[c] for c in sorted(expected)):
        assert np.flatnonzero(found.inverse == number).tolist() == rows
        np.testing.assert_allclose(found.feats[number], mean, rtol=1e-5, atol=1e-5)
        assert found.labels[number] == label


def test_types():
    points, labels = cloud()
    found = voxelize(points, 0.5, labels=labels)
    assert found.coords.dtype == np.int32 and found.feats.dtype == np.float32
    assert found.inverse.dtype == np.int64 and found.labels.dtype == np.uint8
    assert len(found) == len(found.coords)
    assert (found.coords.min(axis=0) == 0).all()


def test_way_back_leads_to_the_own_voxel():
    points, _ = cloud()
    found = voxelize(points, 0.5)
    low = np.floor(points[:, :3].min(axis=0).astype(np.float64) / 0.5) * 0.5
    inside = points[:, :3] - (low + 0.5 * found.coords[found.inverse])
    assert inside.min() >= -1e-5 and inside.max() <= 0.5 + 1e-5
    assert np.array_equal(np.unique(found.inverse), np.arange(len(found)))


def test_order_of_points_does_not_matter():
    points, labels = cloud()
    order = np.random.default_rng(1).permutation(len(points))
    one, other = voxelize(points, 0.5, labels=labels), voxelize(
        points[order], 0.5, labels=labels[order]
    )  # fmt: skip
    assert np.array_equal(one.coords, other.coords) and np.array_equal(one.labels, other.labels)
    assert np.array_equal(one.inverse[order], other.inverse)
    np.testing.assert_allclose(one.feats, other.feats, atol=1e-6)


def test_the_grid_lies_at_random_only_with_a_generator():
    points, _ = cloud()
    assert np.array_equal(voxelize(points, 0.5).coords, voxelize(points, 0.5).coords)
    drawn = [voxelize(points, 0.5, rng=np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert np.array_equal(drawn[0].coords, drawn[1].coords)
    assert not np.array_equal(drawn[0].inverse, drawn[2].inverse)
    assert all(one.coords.min() >= 0 for one in drawn)
    # Halving the grid four times has to fall differently too.
    firsts = {
        tuple(voxelize(points, 0.5, rng=np.random.default_rng(s)).coords.min(axis=0) % 16)
        for s in range(20)
    }
    assert len(firsts) > 15


def test_majority():
    labels = np.array([3, 1, 1, 3, 255, 255, 255, 0, 254, 254, 4])
    groups = np.array([0, 0, 0, 0, 0, 1, 1, 2, 3, 3, 3])
    # A tie of 1 and 3; nothing known; one against none; the highest class there is; no point.
    assert majority(labels, groups, 5).tolist() == [1, 255, 0, 254, 255]


def test_no_points():
    found = voxelize(np.zeros((0, 4)), 0.5, labels=np.zeros(0, np.uint8))
    assert found.coords.shape == (0, 3) and found.feats.shape == (0, 4)
    assert len(found.labels) == 0 and voxelize(np.zeros((0, 4)), 0.5).labels is None


def test_points_far_from_each_other():
    points = np.array([[-4e5, 0, 0], [4e5, 1, -3]])
    found = voxelize(points, 0.05)
    assert len(found) == 2 and np.array_equal(found.inverse, [0, 1])
    with pytest.raises(ValueError, match='in a box of less than'):
        voxelize(points * [1, 1e6, 1e6], 0.05)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(points=np.zeros((3, 2))), '`points`'),
        (dict(points=np.full((3, 3), np.nan)), 'finite'),
        (dict(size=0), '`size` above 0'),
        (dict(size=float('nan')), '`size` above 0'),
        (dict(labels=np.zeros(2, int)), '`labels` of 3 points'),
        (dict(labels=np.array([0, 1, 256])), r'labels in \[0, 255\]'),
        (dict(labels=np.array([0, 1, -1])), r'labels in \[0, 255\]'),
    ],
)
def test_bad_scans(change, message):
    with pytest.raises(ValueError, match=message):
        voxelize(**{'points': np.zeros((3, 3)), 'size': 1.0, **change})


def test_turning_keeps_heights_and_distances():
    points, _ = cloud(200)
    before = points.copy()
    moved = augment(points, np.random.default_rng(3), jitter=0, flip=1)
    assert np.array_equal(points, before) and moved.dtype == points.dtype
    assert np.array_equal(moved[:, 2:], points[:, 2:])
    np.testing.assert_allclose(
        np.linalg.norm(moved[:, :2], axis=1), np.linalg.norm(points[:, :2], axis=1), rtol=1e-4
    )
    # Mirrored: areas change their sign.
    signs = [np.sign(np.cross(p[0, :2], p[1, :2])) for p in (points, moved)]
    assert signs[0] == -signs[1]


def test_scaling():
    points, _ = cloud(200)
    moved = augment(points, np.random.default_rng(0), jitter=0, flip=0, scale=(0.5, 0.6))
    factor = np.linalg.norm(moved[:, :3], axis=1) / np.linalg.norm(points[:, :3], axis=1)
    assert 0.5 <= factor.min() and factor.max() <= 0.6 and np.ptp(factor) < 1e-4


def test_jitter_has_the_deviation_asked_for():
    unit = np.eye(3)
    draws = [
        augment(unit, np.random.default_rng(s), jitter=0.1, flip=0, rotate=False)
        for s in range(2000)
    ]
    np.testing.assert_allclose(np.mean(draws, axis=0), unit, atol=0.01)
    np.testing.assert_allclose(np.std(draws, axis=0), 0.1, atol=0.01)


def test_half_are_mirrored_and_turns_are_all_around():
    unit = np.eye(3)
    draws = [augment(unit, np.random.default_rng(s), jitter=0) for s in range(1000)]
    mirrored = np.mean([np.linalg.det(one) < 0 for one in draws])
    assert 0.45 < mirrored < 0.55
    angles = np.array([np.arctan2(one[1, 0], one[1, 1]) for one in draws])
    assert np.histogram(angles, 8, (-np.pi, np.pi))[0].min() > 80


@pytest.mark.parametrize('bad', [dict(jitter=-1), dict(flip=2), dict(scale=(2, 1))])
def test_bad_augmentation(bad):
    with pytest.raises(ValueError, match='jitter'):
        augment(np.zeros((1, 3)), np.random.default_rng(0), **bad)


def test_steps():
    points, labels = cloud()
    scan = {'points': points, 'labels': labels, 'sample': 4}
    moved = Augment(jitter=0, rotate=False, flip=1)(scan, np.random.default_rng(0))
    assert np.array_equal(moved['points'][:, 0], -points[:, 0]) and moved['sample'] == 4
    made = Voxelize(0.5)(moved)
    expected = voxelize(moved['points'], 0.5, labels=labels)
    assert np.array_equal(made['coords'], expected.coords)
    assert np.array_equal(made['labels'], expected.labels)
    assert made['sample'] == 4 and 'points' not in made
    assert scan['points'] is points
    with pytest.raises(ValueError, match='generator'):
        Augment()(scan)


def test_what_lies_far_from_all_labels_is_left_out():
    points, _ = cloud()
    labels = np.full(len(points), 255, np.uint8)
    labels[:3] = [2, 0, 1]
    scan = NearLabels(2.0)({'points': points, 'labels': labels, 'sample': 7})
    apart = np.linalg.norm(points[:, None, :2].astype(float) - points[None, :3, :2], axis=2)
    near = (apart <= 2.0).any(axis=1)
    assert 3 < near.sum() < len(points)
    np.testing.assert_array_equal(scan['points'], points[near])
    np.testing.assert_array_equal(scan['labels'], labels[near])
    assert scan['sample'] == 7


@pytest.mark.parametrize('label', [255, 3])
def test_scans_with_all_labels_or_none_stay_whole(label):
    points, _ = cloud()
    assert near_labels(points, np.full(len(points), label), 0.1).all()
    whole = NearLabels(0.1)({'points': points, 'sample': 0})
    np.testing.assert_array_equal(whole['points'], points)


def test_a_margin_below_zero_is_refused():
    with pytest.raises(ValueError, match='`margin` >= 0'):
        NearLabels(-1)
