"""Half of the draws from fully labelled samples, the same for everybody."""

from itertools import islice
from types import SimpleNamespace

import pytest

from dense_al.datasets.level_sampler import LevelSampler


def draws(full, n=4000, **given):
    return list(islice(iter(LevelSampler(SimpleNamespace(full=full), **given)), n))


def test_draws_keep_the_share_whatever_the_numbers():
    full = [i < 3 for i in range(50)]
    found = draws(full, seed=1, full_share=0.5)
    assert 0.46 < sum(i < 3 for i in found) / len(found) < 0.54
    assert set(found) == set(range(50))
    assert found == draws(full, seed=1, full_share=0.5) != draws(full, seed=2, full_share=0.5)
    rare = draws(full, seed=1, full_share=0.1)
    assert 0.07 < sum(i < 3 for i in rare) / len(rare) < 0.13


@pytest.mark.parametrize('full', [[True] * 4, [False] * 4])
def test_one_level_alone_is_drawn_from(full):
    assert set(draws(full, 200, seed=0)) == {0, 1, 2, 3}


def test_processes_share_the_draws(monkeypatch):
    full, shares = [True, False, False], []
    for rank in (0, 1):
        monkeypatch.setattr('dense_al.datasets.level_sampler.get_dist_info', lambda r=rank: (r, 2))
        shares.append(draws(full, 10, seed=3))
    monkeypatch.undo()
    together = [i for pair in zip(*shares) for i in pair]
    assert together == draws(full, 20, seed=3)


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match=r'in \(0, 1\)'):
        draws([True], full_share=1)
    with pytest.raises(ValueError, match='with levels'):
        LevelSampler([1, 2, 3], seed=0)
