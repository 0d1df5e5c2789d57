"""Pixels to ask about, against published outputs and loops over pixels."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from dense_al.acquisition.functional import (
    mask_uncertainty,
    peaks,
    pixel_boxes,
    point_of_max_entropy,
    random_points,
)

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


def first_peak(probs, box, **more):
    """What an acquisition makes of the map of a whole image: the best pixel of its box."""
    x0, y0, x1, y1 = pixel_boxes(box, *probs.shape)[0]
    at, value = peaks(mask_uncertainty(probs[None, y0:y1, x0:x1]), 1, **more)
    return (at + [y0, x0]).tolist(), value


@pytest.mark.parametrize('case', range(3))
def test_golden(case):
    path = GOLDEN / 'point_entropy' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    z = np.load(path, allow_pickle=False)
    for probs, box, point, value in zip(z['mask_probs'], z['boxes'], z['points_yx'], z['value']):
        at, found = first_peak(probs, box)
        assert at == [point.tolist()]
        assert found[0] == pytest.approx(value, abs=2e-6)
    np.testing.assert_array_equal(pixel_boxes(z['boxes'], *probs.shape), z['boxes_floor'])


def test_the_first_peak_is_the_point_of_max_entropy():
    rng = np.random.default_rng(0)
    probs = rng.random((6, 9, 12)).round(1)  # many ties
    low = rng.uniform(-2, 9, (6, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 6, (6, 2))], axis=1)
    points, value = point_of_max_entropy(probs, boxes)
    for i in range(6):
        at, found = first_peak(probs[i], boxes[i])
        assert at == [points[i].tolist()] and found[0] == value[i]


def entropy(p):
    return sum(-q * math.log(q) for q in (p, 1 - p) if q > 0)


@pytest.mark.parametrize('views', [1, 2, 5])
def test_uncertainty_pixel_by_pixel(views):
    probs = np.random.default_rng(views).random((views, 4, 3))
    probs[:, 0, 0], probs[:, 0, 1] = 0, 1
    metrics = ('entropy', 'variance', 'mutual_information')
    found = [mask_uncertainty(probs, metric) for metric in metrics]
    for y in range(4):
        for x in range(3):
            values = [float(v) for v in probs[:, y, x]]
            mean = sum(values) / views
            wanted = [
                entropy(mean),
                sum((v - mean) ** 2 for v in values) / views,
                entropy(mean) - sum(entropy(v) for v in values) / views,
            ]
            np.testing.assert_allclose([f[y, x] for f in found], wanted, rtol=1e-5, atol=1e-6)
    assert all(f.dtype == np.float64 and (f >= 0).all() for f in found)


@pytest.mark.parametrize(
    ('probs', 'metric', 'message'),
    [
        (np.zeros((3, 4)), 'entropy', r'\(V, h, w\), but got \(3, 4\)'),
        (np.zeros((0, 3, 4)), 'entropy', r'\(0, 3, 4\)'),
        (np.zeros((1, 3, 4)), 'margin', "but got 'margin'"),
    ],
)
def test_wrong_maps_are_named(probs, metric, message):
    with pytest.raises(ValueError, match=message):
        mask_uncertainty(probs, metric)


def best_pixels(score, n, exclude, distance):
    """All pixels by score, the first in raster order among equals; near ones are passed over."""
    taken, found = [tuple(e) for e in exclude], []
    height, width = score.shape
    order = sorted((-score[y, x], y, x) for y in range(height) for x in range(width))
    for value, y, x in order:
        near = [math.hypot(y - a, x - b) for a, b in taken]
        if len(found) < n and all(d > 0 and d >= distance for d in near):
            found.append((y, x, -value))
            taken.append((y, x))
    return found


@pytest.mark.parametrize('distance', [0, 0.3, 1, 1.5, 2, 3.7, 100])
@pytest.mark.parametrize('n', [1, 4, 200])
def test_peaks_are_the_best_pixels_apart(distance, n):
    rng = np.random.default_rng(n)
    score = rng.integers(0, 6, (7, 11)) / 7  # many ties
    exclude = rng.integers(-3, 13, (5, 2))  # some outside of the map
    points, values = peaks(score, n, exclude=exclude, min_distance=distance)
    wanted = best_pixels(score, n, exclude.tolist(), distance)
    assert points.tolist() == [[y, x] for y, x, _ in wanted]
    np.testing.assert_array_equal(values, [v for *_, v in wanted])
    assert (np.diff(values) <= 0).all() and len(points) <= n


def test_equal_peaks_are_drawn():
    score = np.array([[1.0, 3.0, 3.0], [2.0, 3.0, 0.0]])
    drawn = [peaks(score, 4, rng=np.random.default_rng(s))[0].tolist() for s in range(200)]
    assert all(sorted(d[:3]) == [[0, 1], [0, 2], [1, 1]] and d[3] == [1, 0] for d in drawn)
    firsts = [tuple(d[0]) for d in drawn]
    assert min(firsts.count(place) for place in set(firsts)) > 45 and len(set(firsts)) == 3
    assert drawn[7] == peaks(score, 4, rng=np.random.default_rng(7))[0].tolist()


@pytest.mark.parametrize('shape', [(0, 4), (3, 0), (2, 2)])
def test_no_peak_is_left(shape):
    exclude = [[0, 0], [0, 1], [1, 0], [1, 1]]
    points, values = peaks(np.ones(shape), 3, exclude=exclude)
    assert points.shape == (0, 2) and points.dtype == np.int64 and values.shape == (0,)


def test_the_map_stays_as_it_is():
    score = np.arange(12.0).reshape(3, 4)
    peaks(score, 5, exclude=[[0, 0]], min_distance=2)
    np.testing.assert_array_equal(score, np.arange(12.0).reshape(3, 4))
    assert len(peaks(-score, 12)[0]) == 12  # scores below 0 are scores too


BOXES = np.array([[1.2, 2.7, 6.9, 4.1], [-3, -2, 2.5, 99], [5.5, 5.5, 5.6, 5.6], [20, 3, 30, 9]])
FLOORED = [[1, 2, 6, 4], [0, 0, 2, 8], [5, 5, 6, 6], [9, 3, 10, 8]]


def test_pixels_of_a_box():
    found = pixel_boxes(BOXES, 8, 10)
    assert found.tolist() == FLOORED and found.dtype == np.int64
    assert pixel_boxes([], 8, 10).shape == (0, 4)


def test_random_points_are_uniform_in_each_box():
    points = random_points(BOXES, (8, 10), 4000, np.random.default_rng(0))
    assert points.shape == (4, 4000, 2) and points.dtype == np.int64
    for (x0, y0, x1, y1), row in zip(FLOORED, points):
        pixels, counts = np.unique(row, axis=0, return_counts=True)
        wanted = [[y, x] for y in range(y0, y1) for x in range(x0, x1)]
        assert pixels.tolist() == wanted
        mean = 4000 / len(wanted)
        assert (np.abs(counts - mean) < 5 * math.sqrt(mean)).all()


@pytest.mark.parametrize('fewer', [0, 1, 3])
def test_fewer_random_points_are_the_first_of_more(fewer):
    many = random_points(BOXES, (8, 10), 5, np.random.default_rng(7))
    few = random_points(BOXES, (8, 10), fewer, np.random.default_rng(7))
    np.testing.assert_array_equal(few, many[:, :fewer])
    assert len(np.unique(many[0], axis=0)) > 1


def test_random_points_of_no_box():
    assert random_points([], (8, 10), 3, np.random.default_rng(0)).shape == (0, 3, 2)
