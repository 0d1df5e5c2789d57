"""What is known of the masks of objects, what of it was asked, and what it costs."""

import numpy as np
import pytest

from dense_al.pool import BoxStore, InstanceStore, Ledger, Prices, price_kind
from dense_al.structures import Answer, Boxes, ElementRows, Inside, Instances, Mask, Pixels

WIDTHS = np.array([10, 20], np.int64)
BOXES = Boxes([[0, 0, 4, 4], [2, 2, 9, 7]], [1, 0])
DRAWN = Instances(
    BOXES.boxes, BOXES.labels, [[[1, 2], [3, 0]], [[5, 6], [8, 3]]], [[1, -1], [0, 1]]
)
WHOLE = Mask.of_array(np.eye(8, 10, dtype=bool))


def answer(label, sample=0, instance=-1, unit=0, kind='image', source='x', **more):
    """An answer; None is a declined one."""
    return Answer(
        sample, instance, unit, kind, 'declined' if label is None else 'answered', source, 1, -1,
        1.0, 0.9, more.get('expires_round', -1), b'' if label is None else label.encode(),
    )  # fmt: skip


def point(inside, x, y, instance=0, sample=0, **more):
    label = None if inside is None else Inside(inside)
    return answer(label, sample, instance, y * int(WIDTHS[sample]) + x, 'point', **more)


def store_of(*rounds):
    ledger = Ledger(rounds)
    return InstanceStore(ledger.in_force(), WIDTHS, ledger.units_asked('point'))


def listed(points):
    return [
        [(x, y, v) for (x, y), v in zip(where.tolist(), labels.tolist())]
        for where, labels in points
    ]


def test_points_drawn_with_boxes_come_before_those_asked_later():
    store = store_of([answer(DRAWN)], [point(True, 2, 2, 1), point(False, 0, 1)])
    assert listed(store.points(0)) == [[(1, 2, 1), (0, 1, 0)], [(5, 6, 0), (8, 3, 1), (2, 2, 1)]]
    assert all(where.dtype == labels.dtype == np.int64 for where, labels in store.points(0))


def test_every_point_counts_as_asked_whether_one_could_say_or_not():
    store = store_of([answer(DRAWN)], [point(None, 2, 3), point(True, 4, 5, 1)])
    first, second = store.asked(0)
    assert first.tolist() == [[2, 1], [0, 3], [3, 2]]  # y, x
    assert second.tolist() == [[6, 5], [3, 8], [5, 4]]
    assert listed(store.points(0))[0] == [(1, 2, 1)]


def test_a_point_answered_again_has_its_later_answer():
    store = store_of([answer(BOXES)], [point(True, 3, 1)], [point(False, 3, 1)])
    assert listed(store.points(0)) == [[(3, 1, 0)], []]
    assert [len(asked) for asked in store.asked(0)] == [1, 0]


def test_the_width_of_each_image_tells_its_pixels():
    rounds = [answer(BOXES), answer(BOXES, 1)], [point(True, 9, 6), point(True, 19, 6, sample=1)]
    store = store_of(*rounds)
    assert listed(store.points(0))[0] == [(9, 6, 1)] and listed(store.points(1))[0] == [(19, 6, 1)]


@pytest.mark.parametrize('label', [BOXES, DRAWN])
def test_masks_are_none_until_they_are_answered(label):
    store = store_of([answer(label)], [answer(WHOLE, instance=1, kind='instance')])
    assert store.masks(0) == (None, WHOLE)
    assert [len(where) for where, _ in store.points(0)] == [
        int((row >= 0).sum()) for row in getattr(label, 'point_labels', np.zeros((2, 0)))
    ]


def test_a_mask_answered_later_replaces_one_drawn_with_the_boxes():
    other = Mask.of_array(np.zeros((8, 10), bool))
    drawn = Instances.with_masks(BOXES, (other, other))
    assert store_of([answer(drawn)]).masks(0) == (other, other)
    later = store_of([answer(drawn)], [answer(WHOLE, instance=0, kind='instance')])
    assert later.masks(0) == (WHOLE, other)


def test_a_declined_mask_is_not_known():
    store = store_of([answer(BOXES)], [answer(None, instance=0, kind='instance')])
    assert store.masks(0) == (None, None)


def test_samples_without_boxes_have_no_objects():
    store = store_of([answer(BOXES)])
    assert (store.points(1), store.asked(1), store.masks(1)) == ([], (), ())
    assert store.samples == [0] and isinstance(store, BoxStore)
    assert store.boxes(0).labels.tolist() == [1, 0]


@pytest.mark.parametrize('instance', [-1, 2])
@pytest.mark.parametrize('what', ['points', 'asked', 'masks'])
def test_answers_about_objects_that_are_not_there_are_refused(what, instance):
    given = point(True, 1, 1, instance)
    if what == 'masks':
        given = answer(WHOLE, instance=instance, kind='instance')
    with pytest.raises(ValueError, match=f'object 0 to 1 of sample 0.*{instance}: the boxes have'):
        getattr(store_of([answer(BOXES)], [given]), what)(0)


def rows_of(sample=0, n=2, kind_unit=(12, 33)):
    """Rows of two objects of a sample."""
    return ElementRows(
        sample=np.full(n, sample), instance=np.arange(n), unit=np.array(kind_unit),
        score=np.zeros(n), size=np.ones(n, np.int64), category=np.full(n, -1),
    )  # fmt: skip


@pytest.mark.parametrize('label', [BOXES, DRAWN])
@pytest.mark.parametrize('kind', ['point', 'instance'])
def test_boxes_leave_points_and_masks_open(kind, label):
    ledger = Ledger([[answer(label)]])
    assert ledger.asked(kind, rows_of()).tolist() == [False, False]
    assert ledger.asked('region', rows_of()).all() and ledger.asked('image', rows_of()).all()


@pytest.mark.parametrize('kind', ['point', 'instance'])
def test_masks_of_all_objects_close_them(kind):
    ledger = Ledger([[answer(Instances.with_masks(BOXES, (WHOLE, WHOLE)))]])
    assert ledger.asked(kind, rows_of()).all()
    assert not ledger.asked(kind, rows_of(1)).any()


@pytest.mark.parametrize('kind', ['point', 'instance', 'region'])
def test_dense_labels_close_everything(kind):
    ledger = Ledger([[answer(Pixels(np.zeros(80, np.uint8)))]])
    assert ledger.asked(kind, rows_of()).all() and not ledger.asked(kind, rows_of(1)).any()


def test_points_are_asked_one_by_one():
    ledger = Ledger([[answer(BOXES)], [point(True, 2, 1), point(None, 3, 3, 1)]])
    assert ledger.asked('point', rows_of()).tolist() == [True, True]
    assert ledger.asked('point', rows_of(), ask_declined_again=True).tolist() == [True, False]
    assert not ledger.asked('point', rows_of(1)).any()
    swapped = rows_of(kind_unit=(33, 12))
    assert not ledger.asked('point', swapped).any()
    assert not ledger.asked('instance', rows_of()).any()


def test_units_asked_of_people():
    given = [point(True, 1, 1), point(None, 2, 2), point(True, 3, 3, source='model')]
    ledger = Ledger([[answer(BOXES)], given, [point(False, 1, 1)]])
    assert [(a.unit, a.status) for a in ledger.units_asked('point')] == [
        (22, 'declined'), (11, 'answered')]  # fmt: skip
    assert [a.kind for a in ledger.units_asked('image')] == ['image']


def test_objects_that_have_a_box():
    rounds = [[answer(BOXES), answer(DRAWN, 1), answer(None, 2)], [point(True, 1, 1)]]
    ledger = Ledger(rounds)
    assert ledger.objects == 4 and Ledger().objects == 0
    fewer = Ledger([*rounds, [answer(Boxes([[0, 0, 1, 1]], [0]))]])
    assert fewer.objects == 3


def test_points_of_objects_are_counted_and_billed():
    ledger = Ledger([[answer(DRAWN)], [point(True, 1, 1), point(None, 2, 2)]])
    totals = ledger.totals()
    assert (totals.units, totals.elements, totals.clicks) == (3, 2, 3)
    assert totals.seconds == pytest.approx(2.7)
    assert ledger.class_counts(3).tolist() == [1, 1, 0]
    assert ledger.labelled_samples().tolist() == ledger.whole_samples().tolist() == [0]


@pytest.mark.parametrize(
    ('kind', 'form', 'points', 'row'),
    [
        ('image', 'pixels', None, 'image'),
        ('image', 'boxes', None, 'boxes'),
        ('image', 'masks', None, 'masks'),
        ('image', 'masks', 0, 'boxes'),
        ('image', 'masks', 4, 'boxes'),
        ('image', 'pixels', 4, 'image'),
        ('point', 'masks', 4, 'point'),
        ('instance', 'masks', None, 'instance'),
        ('tags', 'boxes', None, 'tags'),
    ],
)
def test_rows_of_the_price_table(kind, form, points, row):
    assert price_kind(kind, form, points) == row


@pytest.mark.parametrize(
    ('row', 'objects', 'clicks', 'seconds'),
    [
        ('masks', 3, 102, 1 + 3 * 79.2),
        ('boxes', 3, 12, 22),
        ('instance', 0, 34, 79.2),
        ('point', 0, 1, 0.9),
    ],
)
def test_prices(row, objects, clicks, seconds):
    found = Prices().of(row, np.array([1, 50]), np.array([100, 100]), objects)
    np.testing.assert_allclose(found, [[clicks] * 2, [seconds] * 2])
    dear = Prices({row: dict(fixed_seconds=100.0)}).of(row, np.ones(1), np.ones(1), 0)
    assert dear[1].tolist() == [100]
