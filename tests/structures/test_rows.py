"""Rows and queries: which rows have which key, and what it takes where there are millions."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from dense_al.engine.places import places_of
from dense_al.pool import Ledger
from dense_al.structures import Answer, ElementRows, Query, by_sample


def keyed(sample, instance, unit):
    n = len(sample)
    columns = [np.asarray(values, np.int64) for values in (sample, instance, unit)]
    return ElementRows(*columns, np.zeros(n), np.ones(n, np.int64), np.full(n, -1))


def test_rows_of_no_sample():
    assert by_sample(np.zeros(0, np.int64)) == {}


@pytest.mark.parametrize('scale', [1, 2**40])
def test_rows_among_keys_are_found_however_large_their_numbers(scale):
    rng = np.random.default_rng(0)
    sample, unit = rng.integers(0, 6, 200) * scale, rng.integers(0, 6, 200) * scale
    found = keyed(sample, rng.integers(-1, 3, 200), unit)
    keys = found.keys[rng.integers(0, 200, 30)] + [0, 0, 1]
    keys = np.concatenate([keys, found.keys[:9]])
    expected = [tuple(key) in set(map(tuple, keys.tolist())) for key in found.keys.tolist()]
    assert 9 <= sum(expected) < 200
    assert found.among(keys).tolist() == expected
    assert not found.among(keys[:0]).any()


@pytest.mark.parametrize('scale', [1, 2**40])
def test_a_query_knows_repeated_keys(scale):
    keys = keyed([0, 0, 0, 3 * scale], [-1, -1, 0, -1], [0, 5 * scale, 0, 0])
    assert len(Query.of_rows('region', keys)) == 4
    with pytest.raises(ValueError, match='a repeated key'):
        Query.of_rows('region', keys.take(np.array([0, 1, 2, 1])))


def test_two_million_rows_are_compared_with_what_was_asked_in_seconds():
    samples, units = 5000, 400
    many = keyed(np.repeat(np.arange(samples), units), np.full(samples * units, -1),
                 np.tile(np.arange(units), samples))  # fmt: skip
    asked = [Answer(s, -1, u, 'region', 'answered', 'x', 1, 0, 0.0, 0.0, -1, b'')
             for s in range(samples) for u in range(0, units, 50)]  # fmt: skip
    ledger = Ledger([asked])
    begun = time.process_time()
    found = ledger.asked('region', many)
    assert time.process_time() - begun < 6  # 0.2 s alone
    assert (found == (many.unit % 50 == 0)).all()


def test_places_of_many_scans_take_no_square_of_their_number():
    samples = 20000
    sequences = SimpleNamespace(sequences=('s',) * samples)
    units = SimpleNamespace(manifest=sequences, groups=lambda s: np.full((20, 1), s // 2))
    found = keyed(np.repeat(np.arange(samples), 20), np.full(samples * 20, -1),
                  np.tile(np.arange(20), samples))  # fmt: skip
    begun = time.process_time()
    places = places_of(found, units, 'region', np.zeros(len(found), bool))
    assert time.process_time() - begun < 10  # 0.4 s alone; the square of the samples takes minutes
    assert len(places.rows) == samples // 2
