"""Objects with points and masks, what can be said of one object, and the budget per object."""

import numpy as np
import pytest

from dense_al.registry import ConfigError
from dense_al.structures import (
    Boxes,
    Budget,
    Inside,
    Instances,
    Mask,
    Tags,
    category_of,
    class_counts,
    decode_boxes,
    decode_inside,
    decode_mask,
    encode,
    holds_boxes,
    holds_inside,
    holds_mask,
    holds_tags,
    tags_of,
)

BOXES = Boxes([[0.25, 1, 5, 7], [2, 0, 9.5, 3]], [3, 1])
SIZE = (7, 10)


def masks():
    """A blob with a hole, and one that touches the edges of the image."""
    first, second = np.zeros((2, *SIZE), bool)
    first[1:6, 2:7] = True
    first[3, 4] = False
    second[0, :] = second[:, 9] = True
    return first, second


def pointed(n=3):
    rng = np.random.default_rng(0)
    where = rng.integers(0, 7, (2, n, 2))
    return Instances(BOXES.boxes, BOXES.labels, where, rng.integers(-1, 2, (2, n)))


@pytest.mark.parametrize('n', [0, 1, 3])
def test_points_survive_their_payload(n):
    given = pointed(n)
    found = decode_boxes(encode(given))
    assert isinstance(found, Instances) and found.masks is None
    assert found.boxes.tobytes() == BOXES.boxes.tobytes() and found.boxes.dtype == np.float32
    assert found.points.shape == (2, n, 2) and found.point_labels.shape == (2, n)
    assert found.points.tolist() == given.points.tolist()
    assert found.point_labels.tolist() == given.point_labels.tolist()
    assert found.points.dtype == found.point_labels.dtype == found.labels.dtype == np.int64


def test_masks_survive_their_payload():
    given = tuple(Mask.of_array(m) for m in masks())
    found = decode_boxes(encode(Instances.with_masks(BOXES, given)))
    assert found.points.shape == (2, 0, 2) and found.masks == given
    for mask, wanted in zip(found.masks, masks()):
        assert mask.size == SIZE and mask.array().dtype == bool
        np.testing.assert_array_equal(mask.array(), wanted)


def test_no_object_is_an_answer_too():
    none = Boxes([], [])
    for given in (
        Instances.with_masks(none, ()),
        Instances([], [], np.zeros((0, 2, 2)), np.zeros((0, 2))),
    ):
        found = decode_boxes(encode(given))
        assert len(found) == 0 and found.points.shape == given.points.shape
        assert (found.masks is None) == (given.masks is None)
        assert category_of(found) == -1


def test_instances_count_as_boxes_do():
    payload = encode(pointed())
    assert holds_boxes(payload) and not holds_mask(payload) and not holds_inside(payload)
    assert class_counts(payload, 5).tolist() == class_counts(encode(BOXES), 5).tolist()
    assert category_of(pointed()) == category_of(BOXES) == 1
    assert tags_of(pointed()).labels.tolist() == [1, 3]
    assert type(decode_boxes(encode(BOXES))) is Boxes


@pytest.mark.parametrize(
    ('points', 'labels', 'more', 'message'),
    [
        (np.zeros((2, 3, 2)), np.zeros((2, 2)), {}, r'\(N, P, 2\) and labels \(N, P\) of 2'),
        (np.zeros((1, 3, 2)), np.zeros((1, 3)), {}, r'of 2 objects, but got \(1, 3, 2\)'),
        (np.zeros((2, 2)), np.zeros(2), {}, r'but got \(2, 2\) and \(2,\)'),
        (np.zeros((2, 1, 2)), [[1], [2]], {}, '1, 0 or -1'),
        (np.zeros((2, 0, 2)), np.zeros((2, 0)), {'masks': ()}, 'mask for each of 2.*got 0'),
    ],
)
def test_wrong_instances_are_named(points, labels, more, message):
    with pytest.raises(ValueError, match=message):
        Instances(BOXES.boxes, BOXES.labels, points, labels, **more)


def test_instances_are_checked_as_boxes_are():
    with pytest.raises(ValueError, match='x1 y1 x2 y2'):
        Instances([[5, 0, 1, 1]], [0], np.zeros((1, 0, 2)), np.zeros((1, 0)))


@pytest.mark.parametrize('fill', [0, 1])
def test_masks_of_everything_and_nothing(fill):
    mask = Mask.of_array(np.full(SIZE, fill, bool))
    assert decode_mask(encode(mask)).array().mean() == fill


def test_a_mask_is_coco_s():
    from pycocotools import mask as coco

    first, _ = masks()
    rle = coco.encode(np.asfortranarray(first, np.uint8))
    assert rle['counts'] == Mask.of_rle(rle).counts.encode()  # bytes as COCO's own, or text
    assert Mask.of_rle(Mask.of_array(first).rle()) == Mask.of_array(first)
    np.testing.assert_array_equal(coco.decode(Mask.of_array(first).rle()), first)


@pytest.mark.parametrize('value', [True, False])
def test_a_point_survives_its_payload(value):
    assert decode_inside(encode(Inside(value))) == Inside(value)


def test_what_is_said_of_one_object_is_told_apart_and_names_no_class():
    labels = [np.array([1, 2], np.uint8), BOXES, pointed(), Tags([1]), Inside(True)]
    labels.append(Mask.of_array(masks()[0]))
    tests = (holds_boxes, holds_tags, holds_inside, holds_mask)
    found = [[test(encode(label)) for test in tests] for label in labels]
    assert [sum(row) for row in found] == [0, 1, 1, 1, 1, 1]
    assert found[4][2] and found[5][3]
    assert not any(test(b'') for test in tests)
    for label in labels[4:]:
        assert class_counts(encode(label), 3).tolist() == [0, 0, 0] and category_of(label) == -1
        with pytest.raises(ValueError, match='that of one object'):
            tags_of(label)


@pytest.mark.parametrize(
    ('decode', 'message'),
    [(decode_mask, 'of a mask'), (decode_inside, 'of a point'), (decode_boxes, 'of boxes')],
)
def test_payloads_of_something_else_are_refused(decode, message):
    for label in (Tags([1]), Inside(True), Mask.of_array(masks()[0]), BOXES, pointed()):
        payload = encode(label)
        fits = {decode_mask: holds_mask, decode_inside: holds_inside, decode_boxes: holds_boxes}
        if not fits[decode](payload):
            with pytest.raises(ValueError, match=message):
                decode(payload)
    with pytest.raises(ValueError, match=message):
        decode(b'')


def test_a_budget_per_object():
    budget = Budget(1.5, 'per_object')
    assert budget.amount(10_000, objects=7) == 10.5 and budget.amount(10_000) == 0
    ones = budget.measure(np.array([5, 9]), np.array([1.0, 34]), np.array([0.9, 79]))
    assert ones.tolist() == [1, 1]
    assert Budget(8, 'units').amount(10_000, objects=7) == 8
    with pytest.raises(ConfigError, match='Did you mean `per_object`'):
        Budget(1, 'per_objekt')
