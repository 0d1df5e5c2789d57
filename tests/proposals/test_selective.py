"""Proposals of images: boxes in the image, reproducible, where the objects are."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from dense_al.proposals import ProposalSpec, box_iou, propose_boxes, recall
from dense_al.proposals.overlaps import distinct_boxes
from dense_al.proposals.selective import grid_windows
from dense_al.sandbox import GlyphsSpec, glyph_parts, render_glyphs

PARTS = GlyphsSpec(parts=1, mean_count=2, scale_low=0.15, n_train=100, n_val=0)


@pytest.fixture(scope='module')
def scene():
    return render_glyphs(GlyphsSpec(), 'train', 0)


def test_shape_type_and_bounds(scene):
    boxes = propose_boxes(scene.image)
    assert boxes.dtype == np.float32 and boxes.shape[1] == 4 and boxes.flags.c_contiguous
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= 96).all()
    assert ((boxes[:, 2:] - boxes[:, :2]) >= ProposalSpec().min_side).all()
    assert boxes[0].tolist() == [0, 0, 96, 96]


def test_same_image_and_seed_give_the_same_boxes(scene):
    first = propose_boxes(scene.image, ProposalSpec(max_overlap=1))
    assert np.array_equal(first, propose_boxes(scene.image, ProposalSpec(max_overlap=1)))
    other = propose_boxes(scene.image, ProposalSpec(max_overlap=1, seed=1))
    assert not np.array_equal(first, other)
    assert np.array_equal(np.unique(first, axis=0), np.unique(other, axis=0))


def test_levels_come_in_order(scene):
    spec = ProposalSpec(max_overlap=1, colours=('lab',))
    area = np.prod(np.diff(propose_boxes(scene.image, spec).reshape(-1, 2, 2), axis=1), axis=-1)
    head, tail = np.array_split(area.ravel(), 2)
    assert head.mean() > 2 * tail.mean()


def test_objects_and_their_parts_are_found():
    scenes = [render_glyphs(PARTS, 'train', i) for i in range(40)]
    found = [propose_boxes(scene.image) for scene in scenes]
    parts = [glyph_parts(PARTS, 'train', i) for i in range(40)]
    assert np.mean([len(f) for f in found]) < 160
    objects = [scene.boxes for scene in scenes]
    assert recall(objects, found) >= 0.95 and recall(objects, found, 0.7) >= 0.9
    assert recall(parts, found) >= 0.97
    assert recall(objects, [f[:60] for f in found]) >= 0.9


def test_no_near_duplicates(scene):
    for most in (0.6, 0.85):
        boxes = propose_boxes(scene.image, ProposalSpec(max_overlap=most))
        overlap = box_iou(boxes, boxes)
        assert overlap[~np.eye(len(boxes), dtype=bool)].max() <= most + 1e-6
    plain = propose_boxes(scene.image, ProposalSpec(max_overlap=1))
    assert len(np.unique(plain, axis=0)) == len(plain) > len(boxes)


@pytest.mark.parametrize('seed', range(3))
def test_distinct_boxes_is_greedy(seed, monkeypatch):
    monkeypatch.setattr('dense_al.proposals.overlaps._BLOCK', 7)
    corner = np.random.default_rng(seed).uniform(0, 20, (60, 2))
    boxes = np.hstack([corner, corner + 25])
    kept = []
    for i in range(60):
        if all(box_iou(boxes[i : i + 1], boxes[k : k + 1])[0, 0] <= 0.7 for k in kept):
            kept.append(i)
    assert 5 < len(kept) < 55
    assert distinct_boxes(boxes, 0.7, 100).tolist() == kept
    assert distinct_boxes(boxes, 0.7, 5).tolist() == kept[:5]


def test_a_cap_keeps_the_first(scene):
    every = propose_boxes(scene.image)
    assert np.array_equal(propose_boxes(scene.image, ProposalSpec(max_boxes=20)), every[:20])


def test_windows_are_added_and_count(scene):
    windows = grid_windows(96, 96, (0.5, 0.25))
    spec = ProposalSpec(grid=(0.5, 0.25), max_boxes=len(windows) + 30)
    boxes = propose_boxes(scene.image, spec)
    assert len(boxes) == spec.max_boxes
    np.testing.assert_allclose(boxes[30:], windows, rtol=1e-6)
    assert np.array_equal(boxes[:30], propose_boxes(scene.image)[:30])
    with pytest.raises(ValueError, match=r'above the \d+ windows .* but got 10'):
        propose_boxes(scene.image, dataclasses.replace(spec, max_boxes=10))


def test_windows_alone_reach_every_edge(scene):
    spec = ProposalSpec(colours=(), grid=(1.0, 0.3))
    boxes = propose_boxes(scene.image[:50], spec)
    assert boxes[:, :2].min() == 0 and boxes[:, 2].max() == 96 and boxes[:, 3].max() == 50
    sides = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1], rtol=1e-5)
    small = np.unique(boxes[np.isclose(sides[:, 0], 15, rtol=1e-4), 0])
    assert all(b - a <= 5.01 for a, b in pairwise(small))


def test_large_images_are_shrunk_and_boxes_are_not():
    image = np.zeros((400, 600, 3), np.uint8)
    image[100:300, 200:400] = (200, 40, 40)
    boxes = propose_boxes(image, ProposalSpec(longest=150, sigma=0))
    assert boxes[0].tolist() == [0, 0, 600, 400]
    assert box_iou(boxes, np.array([[200, 100, 400, 300]])).max() > 0.9


@pytest.mark.parametrize('shape', [(1, 1), (1, 40), (3, 2), (30, 30)])
def test_there_is_always_a_box(shape):
    boxes = propose_boxes(np.zeros((*shape, 3), np.uint8))
    assert boxes.tolist() == [[0, 0, shape[1], shape[0]]]


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(colours=('lap',)), 'Did you mean `lab`'),
        (dict(colours='lab'), "Expected `colours` to be a list, but got 'lab'"),
        (dict(scales=(0,)), 'Expected `scales` to be a positive number, but got 0'),
        (dict(max_boxes=0), 'Expected `max_boxes` to be a positive integer, but got 0'),
        (dict(min_size=1.5), 'Expected `min_size` to be a positive integer, but got 1.5'),
        (dict(max_overlap=1.5), 'Expected `max_overlap` to be at most 1, but got 1.5'),
        (dict(grid=(0.5, 2)), 'Expected `grid` to be at most 1, but got 2'),
        (dict(colours=()), 'Expected `colours` and `scales`, or `grid`, but got neither'),
        (dict(seed=-1), 'Expected `seed` to be an integer >= 0, but got -1'),
        (dict(sigma=-1), 'Expected `sigma` to be a number >= 0, but got -1'),
    ],
)
def test_wrong_specs(given, message):
    with pytest.raises(ValueError, match=message):
        ProposalSpec(**given)


def test_wrong_images():
    with pytest.raises(ValueError, match=r'\(H, W, 3\) and dtype uint8'):
        propose_boxes(np.zeros((4, 4), np.uint8))


def test_recall_counts_targets():
    targets = [np.array([[0, 0, 4, 4], [9, 9, 12, 12]]), np.zeros((0, 4)), np.array([[0, 0, 1, 1]])]
    found = [np.array([[0, 0, 4, 3]]), np.array([[0, 0, 1, 1]]), np.zeros((0, 4))]
    assert recall(targets, found, 0.5) == pytest.approx(1 / 3)
    assert recall(targets, found, 0.8) == 0
    assert np.isnan(recall(targets[1:2], found[1:2]))
