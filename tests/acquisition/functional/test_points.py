"""Most uncertain point of an instance against published outputs and a pixel loop."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from dense_al.acquisition.functional.points import binary_entropy, point_of_max_entropy

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


@pytest.mark.parametrize('case', range(3))
def test_golden(case):
    path = GOLDEN / 'point_entropy' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    z = np.load(path, allow_pickle=False)
    points, value = point_of_max_entropy(z['mask_probs'], z['boxes'])
    np.testing.assert_array_equal(points, z['points_yx'])
    np.testing.assert_allclose(value, z['value'], atol=2e-6, rtol=0)
    if 'entropy_map' in z.files:
        entropy = binary_entropy(z['mask_probs'])
        for i, (x0, y0, x1, y1) in enumerate(z['boxes_floor']):
            inside = np.zeros_like(entropy[i])
            inside[y0:y1, x0:x1] = 1
            np.testing.assert_allclose(entropy[i] * inside, z['entropy_map'][i], atol=2e-6)


def brute_force(probs, box, excluded):
    best = (-1.0, -1, -1)
    height, width = probs.shape
    for y in range(height):
        for x in range(width):
            x0, y0, x1, y1 = (math.floor(v) for v in box)
            if not (x0 <= x < x1 and y0 <= y < y1) or (y, x) in excluded:
                continue
            p = float(probs[y, x])
            h = sum(-q * math.log(q) for q in (p, 1 - p) if q > 0)
            if h > best[0] + 1e-15:
                best = (h, y, x)
    return best


def test_brute_force():
    rng = np.random.default_rng(0)
    probs = rng.random((8, 11, 13))
    low = rng.uniform(-2, 8, (8, 2))
    boxes = np.concatenate([low, low + rng.uniform(2, 9, (8, 2))], axis=1)
    asked = [rng.integers(0, 11, (k, 2)) for k in range(8)]
    points, value = point_of_max_entropy(probs, boxes, exclude=asked)
    mask = np.zeros(probs.shape, dtype=bool)
    for i in range(8):
        h, y, x = brute_force(probs[i], boxes[i], {tuple(p) for p in asked[i].tolist()})
        assert points[i].tolist() == [y, x]
        assert value[i] == pytest.approx(h, abs=1e-10)
        mask[i, asked[i][:, 0], asked[i][:, 1]] = True
    again, _ = point_of_max_entropy(probs, boxes, exclude=mask)
    np.testing.assert_array_equal(points, again)


def test_point_is_inside_the_box_even_if_empty():
    probs = np.full((4, 6, 7), 0.5)
    boxes = [[2.2, 3.1, 2.9, 3.8], [-5, -5, -1, -1], [20, 20, 30, 30], [0, 0, 7, 6]]
    points, value = point_of_max_entropy(probs, boxes)
    assert points.tolist() == [[3, 2], [0, 0], [5, 6], [0, 0]]
    np.testing.assert_allclose(value, np.log(2))


def test_random_ties_are_reproducible_and_cover_all():
    probs = np.full((200, 2, 2), 0.5)
    boxes = np.tile([0, 0, 2, 2], (200, 1))
    first, _ = point_of_max_entropy(probs, boxes, rng=np.random.default_rng(3))
    again, _ = point_of_max_entropy(probs, boxes, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first, axis=0)) == 4


def test_everything_excluded():
    points, value = point_of_max_entropy(
        np.full((1, 2, 2), 0.5), [[0, 0, 2, 2]], exclude=np.ones((1, 2, 2), bool)
    )
    assert points.tolist() == [[-1, -1]] and value.tolist() == [0]


def test_no_instance():
    points, value = point_of_max_entropy(np.zeros((0, 5, 5)), [])
    assert points.shape == (0, 2) and points.dtype == np.int64 and value.shape == (0,)


def test_entropy_is_symmetric_and_bounded():
    p = np.linspace(0, 1, 101)
    h = binary_entropy(p)
    np.testing.assert_allclose(h, h[::-1], atol=1e-12)
    assert h.min() == 0 and h.max() == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    'probs, boxes, exclude, message',
    [
        (np.zeros((3, 4)), np.zeros((3, 4)), None, r'`mask_probs` of shape \(I, H, W\)'),
        (
            np.zeros((2, 3, 4)),
            np.zeros((3, 4)),
            None,
            r'of shape \(2, 4\), but got \(3, 4\)',
        ),
        (np.full((1, 3, 4), 2.0), np.zeros((1, 4)), None, r'in \[0, 1\]'),
        (np.full((1, 3, 4), np.nan), np.zeros((1, 4)), None, r'in \[0, 1\]'),
        (np.zeros((1, 3, 4)), np.full((1, 4), np.inf), None, 'finite `boxes`'),
        (np.zeros((1, 3, 4)), np.zeros((1, 4)), np.zeros((1, 2, 4), bool), '`exclude` of shape'),
        (np.zeros((1, 3, 4)), np.zeros((1, 4)), [[], []], '`exclude` of 1 arrays'),
        (np.zeros((1, 3, 4)), np.zeros((1, 4)), [[1, 2]], r'shape \(n, 2\)'),
    ],
)
def test_errors(probs, boxes, exclude, message):
    with pytest.raises(ValueError, match=message):
        point_of_max_entropy(probs, boxes, exclude=exclude)
