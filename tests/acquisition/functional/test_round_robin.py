"""Round robin and the D2ADA schedule against published outputs and plain loops."""

import os
from pathlib import Path

import numpy as np
import pytest

from dense_al.acquisition.base import take
from dense_al.acquisition.functional import d2ada_budgets, weighted_round_robin

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)


def load(name, case):
    path = GOLDEN / name / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    return np.load(path, allow_pickle=False)


@pytest.mark.parametrize('case', range(3))
def test_golden_merge(case):
    z = load('weighted_round_robin', case)
    lists = np.split(z['items'], z['offsets'][1:-1])
    merged = weighted_round_robin(lists, z['weights'])
    assert merged.dtype == np.int64
    np.testing.assert_array_equal(merged, z['merged'])


@pytest.mark.parametrize('case', range(3))
def test_golden_schedule(case):
    z = load('d2ada_schedule', case)
    alpha, beta, size = (float(z[k]) for k in ('alpha', 'beta', 'selection_size'))
    for i, density, uncertain in zip(z['iterations'], z['density_budget'], z['uncertainty_budget']):
        budgets = d2ada_budgets(alpha, beta, size, int(i), paper_compat=True)
        np.testing.assert_allclose(budgets, (density, uncertain), rtol=1e-9, atol=1e-9)
    # The released code also takes the region that goes past the budget.
    ranked = np.arange(len(z['ranked_sizes']))
    for budget, taken in zip(z['pixel_budgets'], z['taken']):
        fitting = len(take(ranked, z['ranked_sizes'], budget))
        assert min(fitting + 1, len(ranked)) == taken


def test_merge_brute_force():
    rng = np.random.default_rng(0)
    for _ in range(30):
        lists = [list(rng.integers(0, 99, rng.integers(0, 9))) for _ in range(rng.integers(0, 6))]
        weights = [int(rng.integers(1, 4)) if items else 0 for items in lists]
        queues, expected = [list(items) for items in lists], []
        while any(queues):
            for queue, w in zip(queues, weights):
                expected += queue[:w]
                del queue[:w]
        assert weighted_round_robin(lists, weights).tolist() == expected


@pytest.mark.parametrize('weight', [0, -2])
def test_list_that_never_empties(weight):
    with pytest.raises(ValueError, match=f'got {weight} for list 1 of 2 items'):
        weighted_round_robin([[1], [2, 3]], [1, weight])


def test_merge_errors():
    with pytest.raises(ValueError, match=r'`weights` of shape \(2,\), but got \(1,\)'):
        weighted_round_robin([[1], [2]], [1])
    for weights in ([1.5], [np.nan], [np.inf]):
        with pytest.raises(ValueError, match='whole-numbered'):
            weighted_round_robin([[1]], weights)


def test_budgets_are_a_split():
    for i in range(1, 12):
        for alpha, beta in ((1, 1), (3, 0.2), (0, 1), (0.5, -1)):
            density, uncertain = d2ada_budgets(alpha, beta, 29, i)
            assert density >= 0 and uncertain >= 0
            assert density + uncertain == pytest.approx(29)


def test_budget_errors():
    for arguments, name in (
        ((-1, 1, 29, 1), 'alpha'),
        ((1, np.nan, 29, 1), 'beta'),
        ((1, 1, -1, 1), 'selection_size'),
        ((1, 1, 29, 0), 'iteration'),
    ):
        with pytest.raises(ValueError, match=f'`{name}`'):
            d2ada_budgets(*arguments)
    with pytest.raises(ValueError, match='`iteration` >= 0, but got -1'):
        d2ada_budgets(1, 1, 29, -1, paper_compat=True)
