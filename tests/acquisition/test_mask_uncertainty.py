"""Whole masks of uncertain objects."""

import numpy as np
import pytest

from dense_al.acquisition import MaskUncertainty, NothingLeftError, Selection
from dense_al.pool import Ledger, Prices
from dense_al.structures import Answer, Budget, InstancePrediction


def prediction(sample, probs, has_mask=None):
    n = len(probs)
    boxes = [[4 * i, 2, 4 * i + 4, 6] for i in range(n)]
    return InstancePrediction(
        sample=sample,
        size=(10, 40),
        boxes=np.array(boxes, np.float32),
        has_mask=np.zeros(n, bool) if has_mask is None else np.array(has_mask),
        asked=(np.zeros((0, 2), np.int64),) * n,
        maps=tuple(None if p is None else np.full((1, 4, 4), p, np.float32) for p in probs),
    )


def given(budget, ledger=None):
    prices = Prices()
    return Selection(
        ledger=ledger or Ledger(),
        budget=Budget(*budget),
        pool_elements=4000,
        prices=lambda kind, size, sample, objects=0.0: prices.of(
            kind, size, np.full(len(size), 400), objects
        ),
        rng=np.random.default_rng(0),
        n_classes=2,
    )


def rows(acquisition):
    found = [
        acquisition.observe(prediction(0, [0.9, 0.5, None]), 0, None),
        acquisition.observe(prediction(1, [0.4, 0.5], [False, True]), 1, None),
    ]
    return type(found[0]).concatenate(found)


def test_the_least_certain_masks_are_asked_first_and_known_ones_never():
    acquisition = MaskUncertainty()
    table = rows(acquisition)
    assert table.size.tolist() == [16] * 4
    query = acquisition.select(table, given((10,)))
    asked = list(zip(query.sample.tolist(), query.instance.tolist()))
    assert query.kind == 'instance' and asked == [(0, 1), (1, 0), (0, 0), (0, 2)]
    assert query.score[0] == pytest.approx(np.log(2))
    first = acquisition.select(table, given((2 * 79.2, 'seconds')))
    assert len(first) == 2


def test_asked_objects_are_not_asked_again():
    acquisition = MaskUncertainty(metric='random')
    assert acquisition.needs == {'objects'}
    table = rows(acquisition)
    declined = [
        Answer(s, i, 0, 'instance', 'declined', 'files', 0, -1, 1, 1, -1, b'')
        for s, i in ((0, 1), (1, 0), (0, 0))
    ]
    query = acquisition.select(table, given((10,), Ledger([declined])))
    assert query.instance.tolist() == [2]
    everything = [Answer(0, 2, 0, 'instance', 'declined', 'files', 0, -1, 1, 1, -1, b''), *declined]
    with pytest.raises(NothingLeftError):
        acquisition.select(table, given((10,), Ledger([everything])))
