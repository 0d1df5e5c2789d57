"""Objects with points and masks, what can be said of one object, and the budget per object."""

import numpy as np
import pytest

from dense_al.registry import ConfigError
from dense_al.structures import (
    LABELS,
    Boxes,
    Budget,
    Inside,
    Instances,
    Mask,
    Pixels,
    Tags,
    answer_type,
    decode,
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
    found = Boxes.decode(given.encode())
    assert isinstance(found, Instances) and found.masks is None
    assert found.boxes.tobytes() == BOXES.boxes.tobytes() and found.boxes.dtype == np.float32
    assert found.points.shape == (2, n, 2) and found.point_labels.shape == (2, n)
    assert found.points.tolist() == given.points.tolist()
    assert found.point_labels.tolist() == given.point_labels.tolist()
    assert found.points.dtype == found.point_labels.dtype == found.labels.dtype == np.int64


def test_masks_survive_their_payload():
    given = tuple(Mask.of_array(m) for m in masks())
    found = Boxes.decode(Instances.with_masks(BOXES, given).encode())
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
        found = Boxes.decode(given.encode())
        assert len(found) == 0 and found.points.shape == given.points.shape
        assert (found.masks is None) == (given.masks is None)
        assert found.category == -1


def test_instances_count_as_boxes_do():
    payload = pointed().encode()
    assert Boxes.is_in(payload) and not Mask.is_in(payload) and not Inside.is_in(payload)
    assert decode(payload).class_counts(5).tolist() == BOXES.class_counts(5).tolist()
    assert pointed().category == BOXES.category == 1
    assert pointed().classes().tolist() == [1, 3]
    assert type(Boxes.decode(BOXES.encode())) is Boxes


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
    assert Mask.decode(mask.encode()).array().mean() == fill


def test_a_mask_is_coco_s():
    from pycocotools import mask as coco

    first, _ = masks()
    rle = coco.encode(np.asfortranarray(first, np.uint8))
    assert rle['counts'] == Mask.of_rle(rle).counts.encode()  # bytes as COCO's own, or text
    assert Mask.of_rle(Mask.of_array(first).rle()) == Mask.of_array(first)
    np.testing.assert_array_equal(coco.decode(Mask.of_array(first).rle()), first)


@pytest.mark.parametrize('value', [True, False])
def test_a_point_survives_its_payload(value):
    assert Inside.decode(Inside(value).encode()) == Inside(value)


PIXELS = Pixels(np.array([1, 2], np.uint8))


def one_of_each():
    """A label of each form, in the order of `LABELS`."""
    labels = (PIXELS, BOXES, pointed(), Tags([1]), Mask.of_array(masks()[0]), Inside(True))
    assert tuple(type(label) for label in labels) == LABELS
    return labels


def test_forms_are_told_apart_by_their_payload():
    found = [[form.is_in(label.encode()) for form in LABELS] for label in one_of_each()]
    wanted = np.eye(len(LABELS), dtype=bool)
    wanted[LABELS.index(Instances), LABELS.index(Boxes)] = True  # with boxes, and more
    np.testing.assert_array_equal(found, wanted)
    assert not any(form.is_in(b'') for form in LABELS)
    assert [type(decode(label.encode())) for label in one_of_each()] == list(LABELS)
    with pytest.raises(ValueError, match="payload of a label, but it begins with b'Z'"):
        decode(b'Z')


@pytest.mark.parametrize('label', [Inside(True), Mask.of_array(masks()[0])])
def test_what_is_said_of_one_object_names_no_class(label):
    assert label.class_counts(3).tolist() == [0, 0, 0] and label.category == -1
    with pytest.raises(ValueError, match='that of one object'):
        label.classes()


@pytest.mark.parametrize('form', LABELS)
def test_payloads_of_another_form_are_refused(form):
    for label in one_of_each():
        payload = label.encode()
        if not form.is_in(payload):
            with pytest.raises(ValueError, match=f'payload of {form.what}'):
                form.decode(payload)
    with pytest.raises(ValueError, match=f'payload of {form.what}'):
        form.decode(b'')


@pytest.mark.parametrize(
    ('form', 'kind', 'answer'),
    [('pixels', 'region', Pixels), ('boxes', 'image', Boxes), ('masks', 'image', Instances),
     ('masks', 'instance', Mask), ('masks', 'point', Inside), ('pixels', 'point', Pixels),
     ('boxes', 'tags', Tags)],
)  # fmt: skip
def test_what_the_answer_to_a_question_is(form, kind, answer):
    assert answer_type(kind, form) is answer


def test_boxes_have_no_regions():
    with pytest.raises(ValueError, match=r"\['image', 'tags'\] for boxes, but got 'region'"):
        answer_type('region', 'boxes')


def test_a_budget_per_object():
    budget = Budget(1.5, 'per_object')
    assert budget.amount(10_000, objects=7) == 10.5 and budget.amount(10_000) == 0
    ones = budget.measure(np.array([5, 9]), np.array([1.0, 34]), np.array([0.9, 79]))
    assert ones.tolist() == [1, 1]
    assert Budget(8, 'units').amount(10_000, objects=7) == 8
    with pytest.raises(ConfigError, match='Did you mean `per_object`'):
        Budget(1, 'per_objekt')
