"""Ledger, prices and the one door to labels."""

from dataclasses import replace

import numpy as np
import pytest

from dense_al.pool import AnswerStore, Ledger, Prices, views
from dense_al.registry import ConfigError
from dense_al.structures import Answer, Boxes, ElementRows, Manifest, Pixels
from dense_al.testing.stub import GridUnits


def answer(sample, unit, label=1, kind='region', status='answered', pixels=16, **changes):
    payload = Pixels(np.full(pixels, label, np.uint8)).encode() if status == 'answered' else b''
    fields = dict(
        sample=sample, instance=-1, unit=unit, kind=kind, status=status, source='ground_truth',
        elements=pixels, category=label, clicks=0.1, seconds=0.1, expires_round=-1, payload=payload,
    )  # fmt: skip
    return Answer(**{**fields, **changes})


def manifest(n=2):
    names = [str(i) for i in range(n)]
    return Manifest.of_images(names, names, [(8, 8)] * n)


def store(answers):
    return AnswerStore(answers, manifest(), GridUnits(manifest()))


def test_labels_lie_in_answered_units_only():
    labels = store([answer(0, 1, label=2)]).dense_labels(0)
    assert (labels[:4, 4:] == 2).all()
    assert (labels == 2).sum() == 16 and (labels == 255).sum() == 48


def test_a_later_answer_wins_whatever_its_kind():
    region, whole = answer(0, 0, label=3), answer(0, 0, label=1, kind='image', pixels=64)
    after = Ledger([[region], [whole]]).in_force()
    assert (store(after).dense_labels(0) == 1).all()
    corrected = Ledger([[region], [whole], [answer(0, 0, label=0)]]).in_force()
    labels = store(corrected).dense_labels(0)
    assert (labels[:4, :4] == 0).all() and (labels == 1).sum() == 48


def test_raster_order_of_the_payload():
    payload = Pixels(np.arange(16, dtype=np.uint8)).encode()
    labels = store([answer(0, 3, payload=payload)]).dense_labels(0)
    assert labels[4:, 4:].ravel().tolist() == list(range(16))


def test_changed_units_are_refused():
    with pytest.raises(ValueError, match='Expected 9 pixels in region 0 of `0`.*but got 16'):
        store([answer(0, 0, pixels=9)]).dense_labels(0)


def test_totals_are_exact_and_bill_replaced_and_declined_answers():
    rounds = [[answer(0, 0)], [answer(0, 0)], [answer(1, 1, status='declined')]]
    total = Ledger(rounds).totals()
    assert (total.units, total.elements) == (3, 16)
    assert total.seconds == 0.30000000000000004 or total.seconds == 0.3
    assert Ledger([[answer(i, 0) for i in range(10)]]).totals().clicks == 1.0


def test_expired_and_declined_answers_train_nobody():
    pseudo = answer(0, 0, source='model', expires_round=1)
    ledger = Ledger([[pseudo, answer(0, 1, status='declined')]])
    assert len(ledger.in_force(1)) == 1 and ledger.in_force(2) == []


def test_who_counts_as_asked():
    rows = ElementRows.of_sample(0, np.zeros(4), np.full(4, 16))
    declined = answer(0, 1, status='declined')
    ledger = Ledger([[answer(0, 0), declined, answer(0, 2, source='model')]])
    assert ledger.asked('region', rows).tolist() == [True, True, False, False]
    assert ledger.asked('region', rows, ask_declined_again=True).tolist() == [True] + [False] * 3
    assert ledger.labelled('region', rows).tolist() == [True] + [False] * 3
    whole = Ledger([[answer(0, 0, kind='image', pixels=64)]])
    assert whole.asked('region', rows).all()


def test_views_are_disjoint_and_take_the_highest_level():
    ledger = Ledger([[answer(0, 0), answer(1, 0), answer(1, 0, kind='image', pixels=64)]])
    found = views(ledger)
    assert found['full'].tolist() == [1] and found['regions'].tolist() == [0]


def test_the_price_of_an_image_is_the_sum_of_its_shares():
    prices = Prices()
    clicks, seconds = prices.of('image', np.array([64]), np.array([64]))
    assert seconds[0] == 5400 and round(clicks[0], 1) == 1712.7
    clicks, seconds = prices.of('region', np.array([16] * 4), np.array([64] * 4))
    assert np.isclose(seconds.sum(), 5404) and np.isclose(clicks.sum(), 1716.7, atol=0.05)


def test_mistakes_in_the_price_table():
    with pytest.raises(ConfigError, match='Unknown key `oracle.prices.regoin`.*`region`'):
        Prices({'regoin': {}})
    with pytest.raises(ConfigError, match='at least 0, but got -1'):
        Prices({'region': {'fixed_clicks': -1}})


def test_label_maps_are_the_callers_own():
    pool = store([answer(0, 0, label=2)])
    for _ in range(3):
        labels = pool.dense_labels(0)
        assert (labels == 2).sum() == 16
        labels[:] = 9


def test_label_maps_are_kept_within_bounds():
    answers = [answer(s, 0, label=s) for s in range(3)]
    pool = AnswerStore(answers, manifest(3), GridUnits(manifest(3)), cache_bytes=128)
    for sample in [0, 1, 2, 0, 1, 2, 2]:
        assert (pool.dense_labels(sample)[:4, :4] == sample).all()
        assert pool._held == sum(kept.nbytes for kept in pool._cache.values()) <= 128


def test_expired_labels_of_a_model_are_of_no_level():
    pseudo = Ledger([[answer(0, 0, source='model', expires_round=1)]])
    assert views(pseudo, 1)['regions'].tolist() == [0] and views(pseudo, 2)['regions'].size == 0


def test_images_are_never_expected_to_be_free():
    empty = [Answer(s, -1, 0, 'image', 'answered', 'x', 1, 0, 0, 0, -1, b'') for s in range(3)]
    none = [replace(a, payload=Boxes(np.zeros((0, 4)), []).encode()) for a in empty]
    assert Ledger([none]).expected_objects('image') == 1
    some = [replace(a, payload=Boxes([[0, 0, 1, 1]] * 3, [0] * 3).encode()) for a in empty]
    assert Ledger([some]).expected_objects('image') == 3
    assert Ledger([]).expected_objects('image') == 7.7
