"""What is between scores and samplers: weights, the best share, prices that differ."""

import numpy as np
import pytest

from dense_al.acquisition import Composed, Selection
from dense_al.pool import Ledger
from dense_al.structures import Answer, Budget, ElementRows


def rows_of(score, category=None, features=None, size=None):
    n = len(score)
    return ElementRows(
        sample=np.zeros(n, np.int64),
        instance=np.full(n, -1, np.int64),
        unit=np.arange(n),
        score=np.asarray(score, np.float64),
        size=np.ones(n, np.int64) if size is None else np.asarray(size),
        category=np.full(n, -1, np.int64) if category is None else np.asarray(category),
        features=features,
    )


def given(budget, ledger=None, seed=0):
    return Selection(
        ledger=ledger or Ledger(),
        budget=budget,
        pool_elements=1000,
        prices=lambda kind, size, sample, objects: (size * 1.0, size * 1.0),
        rng=np.random.default_rng(seed),
        n_classes=2,
    )


def test_classes_that_were_answered_often_weigh_less():
    answers = [Answer(1, -1, u, 'region', 'answered', 'x', 1, 0, 1, 1, -1, b'x') for u in range(3)]
    acquisition = Composed(unit='Grid', score='Entropy', weight='class')
    rows = rows_of([0.5, 0.5, 0.5, 0.5], category=[0, 1, 0, 1])
    for seed in range(5):
        query = acquisition.select(rows, given(Budget(2), Ledger([answers]), seed))
        assert sorted(query.unit.tolist()) == [1, 3]


def test_only_the_best_share_is_sampled_from():
    acquisition = Composed(unit='Grid', score='Entropy', prefilter=0.5, sampler='RandomOrder')
    rows, asked = rows_of(np.arange(10)), []
    for seed in range(30):
        asked += acquisition.select(rows, given(Budget(2), seed=seed)).unit.tolist()
    assert set(asked) == {5, 6, 7, 8, 9}


@pytest.mark.parametrize('sampler', ['KCenter', 'KMeansPlusPlus'])
@pytest.mark.parametrize('seed', range(4))
def test_a_budget_is_used_up_where_prices_differ(sampler, seed):
    # Dear units lie where one is labelled, so that cheap ones are picked: more than fit on average.
    features = np.random.default_rng(seed).normal(size=(50, 3)).astype(np.float32)
    features[:6] = 0
    size = np.where((np.arange(50) > 0) & (np.arange(50) < 6), 39, 1)
    labelled = Answer(0, -1, 0, 'region', 'answered', 'x', 1, 0, 1, 1, -1, b'x')
    rows = rows_of(np.ones(50), features=features, size=size)
    acquisition = Composed(unit='Grid', sampler=sampler)
    query = acquisition.select(rows, given(Budget(40, 'pixels'), Ledger([[labelled]])))
    assert query.size.tolist() == [1] * 40
