"""What a config may say about rounds, and what it must not."""

import pytest

from dense_al.adapters.task import Rounds
from dense_al.registry import ConfigError


def test_rounds_may_differ_in_length():
    assert [Rounds(count=3, iterations=[9, 1, 2]).iterations_of(r) for r in range(3)] == [9, 1, 2]
    assert Rounds(count=3, iterations=7).iterations_of(2) == 7
    assert Rounds(count=3, epochs=7).iterations_of(2) is None


def test_curves_of_rounds_do_not_overlap():
    given = Rounds(count=3, iterations=[9, 1, 2])
    assert [given.steps_before(r, given.iterations_of(r)) for r in range(3)] == [0, 9, 10]
    epochs = Rounds(count=3, epochs=7)
    assert [epochs.steps_before(r, length) for r, length in enumerate([3, 4, 9])] == [0, 4, 18]


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(iterations=[1, 2]), 'each of the 3 rounds, but got 2'),
        (dict(iterations=[1, 2, 0]), 'at least 1, but got 0'),
        (dict(iterations='many'), "but got 'many'"),
        (dict(later=dict(optim_wraper={})), 'Did you mean `optim_wrapper`'),
        (dict(start='inital'), 'Did you mean `initial`'),
    ],
)
def test_wrong_rounds_are_named(given, message):
    with pytest.raises(ConfigError, match=message):
        Rounds(count=3, **given)
