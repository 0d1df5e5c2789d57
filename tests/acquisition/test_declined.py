"""A declined unit is not asked again, but it is no label either: nothing keeps away from it."""

from dataclasses import replace

import numpy as np
import pytest
from test_box_in_box import nested, observed, pick
from test_inter_frame_acquisition import UNIT, rows_at

from dense_al.acquisition import BoxInBox, Composed, ImageCoreSet, InterFrame, Selection
from dense_al.engine.select import choose
from dense_al.pool import Ledger
from dense_al.structures import Answer, Budget, ElementRows

PLACES = np.array([[0.0], [2.0], [9.0], [10.0]])  # the first is labelled, the last one declined


def answer(sample, unit, kind, status):
    return Answer(sample, -1, unit, kind, status, 'files', 1, -1, 1.0, 1.0, -1, b'')


def given(*answers, budget=1, seed=0):
    return Selection(
        ledger=Ledger([answers]),
        budget=Budget(budget),
        pool_elements=4,
        prices=lambda kind, size, sample, objects: (np.ones(len(size)), np.ones(len(size))),
        rng=np.random.default_rng(seed),
        n_classes=2,
    )


@pytest.mark.parametrize('sampler', ['KCenter', 'KMeansPlusPlus'])
def test_a_declined_region_is_no_centre(sampler):
    rows = ElementRows.of_sample(0, np.zeros(4), np.ones(4), features=PLACES)
    rows.features[2] = 9 if sampler == 'KCenter' else 1e4  # drawn, so far that it is always drawn
    rows.features[3] = rows.features[2] + 1
    known = [answer(0, 0, 'region', 'answered'), answer(0, 3, 'region', 'declined')]
    acquisition = Composed(unit='Grid', sampler=sampler)
    assert acquisition.select(rows, given(*known)).unit.tolist() == [2]
    assert sorted(acquisition.select(rows, given(*known, budget=9)).unit.tolist()) == [1, 2]
    both = [known[0], replace(known[1], status='answered')]
    if sampler == 'KCenter':
        assert acquisition.select(rows, given(*both)).unit.tolist() == [1]


@pytest.mark.parametrize('weight', [None, 'entropy'])
def test_a_declined_image_is_no_centre(weight):
    one = np.ones(4, np.int64)
    rows = ElementRows(
        np.arange(4), -one, 0 * one, np.ones(4), one, -one, PLACES.astype(np.float32)
    )
    known = [answer(0, 0, 'image', 'answered'), answer(3, 0, 'image', 'declined')]
    acquisition = ImageCoreSet(weight=weight)
    assert acquisition.select(rows, given(*known)).sample.tolist() == [2]
    known[1] = replace(known[1], status='answered')
    assert acquisition.select(rows, given(*known)).sample.tolist() == [1]


def test_pairs_of_declined_images_are_no_centres():
    # What was remembered of image 0, when it was asked, lies where image 1 is.
    then = replace(
        nested(0, np.zeros((3, 2)), labels=[0, 1, 2]),
        remembered=np.full((6, 2), 7.0, np.float32),
    )
    others = [nested(1, np.full((3, 2), 7.0)), nested(2, np.full((3, 2), 70.0))]
    rows = observed(BoxInBox(), [then, *others])
    drawn = {}
    for status in ('answered', 'declined'):
        ledger = Ledger([[answer(0, 0, 'image', status)]])
        drawn[status] = {
            pick(BoxInBox(), rows, Budget(1), ledger, seed).sample[0] for seed in range(9)
        }
    assert drawn == {'answered': {2}, 'declined': {1, 2}}


def test_places_beside_a_declined_one_may_be_asked():
    rows = rows_at([(0, 0, 0), (3, 0, 0), (20, 0, 0)], [1.0, 0.9, 0.5])
    asked = {}
    for status in ('answered', 'declined'):
        select = given(answer(0, 0, 'region', status), budget=1)
        asked[status] = InterFrame(unit=UNIT).select(rows, select).sample.tolist()
    assert asked == {'answered': [2], 'declined': [1]}


def test_a_place_that_was_declined_here_and_labelled_there_is_a_centre():
    class Shared:
        """Unit 3 of both samples is one place, all others are places of their own."""

        class manifest:
            sequences = ('s', 's')

        def groups(self, sample):
            return np.array([[unit, 0 if unit == 3 else 1 + sample] for unit in range(4)])

    size = np.array([2, 2, 2, 6])
    parts = [ElementRows.of_sample(s, np.zeros(4), size - s, features=PLACES) for s in (0, 1)]
    known = [answer(0, 3, 'region', 'declined'), answer(1, 3, 'region', 'answered')]
    acquisition = Composed(unit='WorldCells', sampler='KCenter')
    rows = ElementRows.concatenate(parts)
    for seed in range(8):
        query, _ = choose(rows, acquisition, Shared(), given(*known, seed=seed))
        assert query.unit.tolist() == [0]  # the farthest from the one at 10
