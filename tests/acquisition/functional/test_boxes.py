"""Box-in-box pairs against published outputs and a plain double loop."""

import os
from pathlib import Path

import numpy as np
import pytest

from dense_al.acquisition.functional.boxes import box_in_box_pairs, box_in_box_pairs_batched

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


def load(case):
    path = GOLDEN / 'box_in_box_pairs' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    return np.load(path, allow_pickle=False)


def random_boxes(rng, n, size=60):
    corner = rng.integers(0, size, (n, 2))
    return np.concatenate([corner, corner + rng.integers(0, size, (n, 2))], axis=1).astype(float)


def brute_force(boxes, labels, scores, tags, score_thr, min_cover, min_area_ratio):
    """Counts the pixels of the closed boxes, so it takes whole-numbered coordinates only."""
    pairs = []
    for s, small in enumerate(boxes.astype(int)):
        pixels = {
            (x, y) for x in range(small[0], small[2] + 1) for y in range(small[1], small[3] + 1)
        }
        for b, big in enumerate(boxes.astype(int)):
            if s == b or labels[s] != labels[b] or labels[s] not in tags:
                continue
            if min(scores[s], scores[b]) <= score_thr:
                continue
            area = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (small, big)]
            if area[1] == 0 or area[1] < min_area_ratio * area[0]:
                continue
            inside = sum(big[0] <= x <= big[2] and big[1] <= y <= big[3] for x, y in pixels)
            if inside / len(pixels) >= min_cover:
                pairs.append([s, b])
    return pairs


@pytest.mark.parametrize('case', range(3))
@pytest.mark.parametrize('containers', ['all', 'first'])
def test_golden(case, containers):
    z = load(case)
    pairs = box_in_box_pairs(
        z['boxes'],
        z['labels'],
        z['scores'],
        z['tags'],
        score_thr=float(z['score_thr']),
        min_cover=float(z['min_cover']),
        min_area_ratio=float(z['min_area_ratio']),
        containers=containers,
    )
    assert pairs.dtype == np.int64
    np.testing.assert_array_equal(pairs, z[f'pairs_{containers}'])


@pytest.mark.parametrize('ratio', [0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize('cover', [0.5, 0.8, 1.0])
def test_brute_force(ratio, cover):
    rng = np.random.default_rng(int(10 * ratio + 100 * cover))
    for _ in range(3):
        boxes = random_boxes(rng, 25, 20)
        boxes[3] = boxes[4]
        boxes[5, 2] = boxes[5, 0]
        labels, scores = rng.integers(1, 4, 25), rng.random(25)
        expected = brute_force(boxes, labels, scores, (1, 3), 0.2, cover, ratio)
        pairs = box_in_box_pairs(
            boxes, labels, scores, [1, 3], score_thr=0.2, min_cover=cover, min_area_ratio=ratio
        )
        assert pairs.tolist() == expected
        first = box_in_box_pairs(
            boxes,
            labels,
            scores,
            [1, 3],
            score_thr=0.2,
            min_cover=cover,
            min_area_ratio=ratio,
            containers='first',
        )
        lowest = {}
        for small, big in expected:
            lowest.setdefault(small, big)
        assert first.tolist() == [[s, b] for s, b in lowest.items()]


def test_whole_pixel_convention():
    # 4 of 5 pixel columns are covered: 0.8 in whole pixels, 0.75 in continuous widths.
    boxes = [[0, 0, 4, 9], [-20, 0, 3, 9]]
    assert len(box_in_box_pairs(boxes, [1, 1], [1, 1], [1], min_cover=0.8)) == 1
    # Area ratio 3 without + 1; 31 / 11 with it.
    boxes = [[0, 0, 10, 10], [0, 0, 30, 10]]
    assert len(box_in_box_pairs(boxes, [1, 1], [1, 1], [1], min_area_ratio=3.0)) == 1


def test_threshold_is_strict():
    boxes = [[0, 0, 9, 9], [0, 0, 39, 39]]
    assert len(box_in_box_pairs(boxes, [1, 1], [0.5, 0.9], [1], score_thr=0.5)) == 0
    assert len(box_in_box_pairs(boxes, [1, 1], [0.5, 0.9], [1], score_thr=0.499)) == 1


def test_batched_equals_one_by_one():
    rng = np.random.default_rng(0)
    sizes = [0, 30, 1, 60, 0]
    offsets = np.cumsum([0, *sizes])
    boxes = random_boxes(rng, offsets[-1])
    labels, scores = rng.integers(-2, 3, offsets[-1]), rng.random(offsets[-1])
    tags = [[1], [], [0], [-2, 1, 9, 9], [2]]
    pairs, image = box_in_box_pairs_batched(boxes, labels, scores, offsets, tags)
    expected = []
    for i in range(len(sizes)):
        rows = slice(offsets[i], offsets[i + 1])
        one = box_in_box_pairs(boxes[rows], labels[rows], scores[rows], tags[i])
        expected += [[i, s + offsets[i], b + offsets[i]] for s, b in one]
    assert np.column_stack([image, pairs]).tolist() == expected
    assert len(expected) > 5


def test_permuting_rows_permutes_pairs():
    rng = np.random.default_rng(1)
    boxes, labels, scores = random_boxes(rng, 50), np.ones(50, int), rng.random(50)
    order = rng.permutation(50)
    pairs = box_in_box_pairs(boxes, labels, scores, [1])
    shuffled = box_in_box_pairs(boxes[order], labels[order], scores[order], [1])
    assert set(map(tuple, pairs)) == set(map(tuple, order[shuffled]))


def test_nothing_to_pair():
    assert box_in_box_pairs([], [], [], [1]).shape == (0, 2)
    assert box_in_box_pairs([[0, 0, 1, 1]], [1], [0.9], []).shape == (0, 2)


@pytest.mark.parametrize(
    'change, message',
    [
        ({'boxes': np.zeros((3, 5))}, r'Expected `boxes` of shape \(N, 4\), but got \(3, 5\)'),
        ({'labels': [1, 2]}, r'Expected `labels` of shape \(3,\), but got \(2,\)'),
        ({'scores': [[1, 2, 3]]}, r'Expected `scores` of shape'),
        ({'boxes': np.full((3, 4), np.nan)}, 'finite `boxes`'),
        ({'boxes': [[5, 0, 1, 1]] * 3}, 'x0 <= x1'),
        ({'min_cover': 0}, '`min_cover`'),
        ({'min_area_ratio': 0}, '`min_area_ratio`'),
        ({'score_thr': np.nan}, '`score_thr`'),
        ({'containers': 'last'}, "'last'"),
    ],
)
def test_errors(change, message):
    arguments = dict(boxes=np.zeros((3, 4)), labels=[1] * 3, scores=[1] * 3, tags=[1]) | change
    with pytest.raises(ValueError, match=message):
        box_in_box_pairs(**arguments)


def test_offset_errors():
    for offsets in ([0, 2], [0, 1, 1, 1], [1, 1, 2], [0, 3, 2]):
        with pytest.raises(ValueError, match='`offsets`'):
            box_in_box_pairs_batched(np.zeros((2, 4)), [1, 1], [1, 1], offsets, [[1], [1]])
