"""Single pixels in dense labels, in the ledger and in the price table."""

import time
from dataclasses import replace

import numpy as np
import pytest

from dense_al.pool import AnswerStore, Ledger, Prices, views
from dense_al.structures import Answer, ElementRows, Manifest, Pixels
from dense_al.testing.stub import GridUnits

SIDE = 8


def answer(unit, label, kind='point', pixels=1, status='answered', sample=0):
    payload = Pixels(np.full(pixels, label, np.uint8)).encode() if status == 'answered' else b''
    return Answer(
        sample, -1, unit, kind, status, 'ground_truth', pixels, label, 1.0, 1.0, -1, payload
    )


def store(answers, side=SIDE):
    manifest = Manifest.of_images(['a', 'b'], ['a', 'b'], [(side, side)] * 2)
    return AnswerStore(answers, manifest, GridUnits(manifest))


def test_only_the_pixels_asked_are_labelled():
    labels = store([answer(3, 2), answer(5 * SIDE + 7, 0)]).dense_labels(0)
    assert labels[0, 3] == 2 and labels[5, 7] == 0 and (labels != 255).sum() == 2


def test_the_later_of_pixel_and_region_wins():
    region, pixel = answer(0, 1, 'region', 16), answer(1, 3)
    after = store(Ledger([[region], [pixel]]).in_force()).dense_labels(0)
    assert after[0, 1] == 3 and (after[:4, :4] == 1).sum() == 15
    before = store(Ledger([[pixel], [region]]).in_force()).dense_labels(0)
    assert (before[:4, :4] == 1).all()
    between = [answer(1, 3), answer(0, 1, 'image', 64), answer(2, 0), answer(3, 2)]
    found = store(between).dense_labels(0)
    assert found[0, :4].tolist() == [1, 1, 0, 2]


def test_the_model_never_writes_over_people():
    pixel, region = answer(1, 3), replace(answer(0, 1, 'region', 16), source='model')
    found = store(Ledger([[pixel], [region]]).in_force()).dense_labels(0)
    assert found[0, :4].tolist() == [1, 3, 1, 1]


@pytest.mark.parametrize('unit', [-1, SIDE * SIDE])
def test_pixels_outside_the_image_are_refused(unit):
    with pytest.raises(ValueError, match=f'in point {unit} of `a`.*the units have changed'):
        store([answer(unit, 1)]).dense_labels(0)


def test_a_payload_of_several_pixels_is_refused():
    with pytest.raises(ValueError, match='Expected 2 pixels in point 1'):
        store([answer(1, 1, pixels=2)]).dense_labels(0)


def test_many_pixels_take_no_time():
    side = 512
    units = np.random.default_rng(0).permutation(side * side)[:20_000].tolist()
    pool = store([answer(unit, unit % 5) for unit in units], side)
    begun = time.process_time()
    labels = pool.dense_labels(0)
    assert time.process_time() - begun < 10  # 0.2 s alone; a map of units for each takes minutes
    assert (labels.ravel()[units] == np.array(units) % 5).all() and (labels != 255).sum() == 20_000


def test_which_pixels_count_as_asked():
    rows = ElementRows.of_sample(0, np.zeros(4), np.ones(4, np.int64))
    ledger = Ledger([[answer(1, 2), answer(2, 2, status='declined'), answer(3, 0, sample=1)]])
    assert ledger.asked('point', rows).tolist() == [False, True, True, False]
    assert (
        ledger.asked('point', rows, ask_declined_again=True).tolist() == [False, True] + [False] * 2
    )
    whole = Ledger([[answer(0, 1, 'image', 64)]])
    assert whole.asked('point', rows).all()
    # A region of the same number is something else.
    assert not Ledger([[answer(1, 1, 'region', 16)]]).asked('point', rows).any()


def test_pixels_are_the_level_of_points():
    found = views(Ledger([[answer(1, 2), answer(0, 1, 'region', 16, sample=1), answer(4, 1)]]))
    assert found['points'].tolist() == [0] and found['regions'].tolist() == [1]


def test_prices_of_one_class_do_not_depend_on_sizes():
    size, whole = np.array([1, 16, 64]), np.full(3, 64)
    for kind in ('dominant', 'pixel'):
        clicks, seconds = Prices().of(kind, size, whole)
        assert clicks.tolist() == [1, 1, 1] and seconds.tolist() == [1, 1, 1]
