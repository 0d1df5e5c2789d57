"""Weighted k-center against a plain loop."""

import numpy as np
import pytest

from dense_al.acquisition.functional.k_center import k_center_greedy
from dense_al.acquisition.functional.weighted_k_center import weighted_k_center


def plain(x, labelled, weights, n, always):
    centres, picks = list(np.flatnonzero(labelled)), []
    start = list(centres)
    for _ in range(n):
        best, value = None, -1.0
        for i in range(len(x)):
            if i in centres:
                continue
            distance = min(
                np.linalg.norm(x[i] - x[c]) * (weights[i] if always or c in start else 1)
                for c in centres
            )
            if distance > value:
                best, value = i, distance
        centres.append(best)
        picks.append(best)
    return picks


@pytest.mark.parametrize('always', [True, False])
def test_picks_equal_a_plain_loop(always):
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, weights = rng.normal(size=(25, 3)), rng.random(25)
        labelled = np.arange(25) < 2
        found = weighted_k_center(x, labelled, weights, n=8, always=always, rng=rng)
        assert found.tolist() == plain(x, labelled, weights, 8, always)


def test_equal_weights_are_no_weights():
    rng = np.random.default_rng(1)
    x, labelled = rng.normal(size=(40, 4)), np.arange(40) == 7
    found = weighted_k_center(x, labelled, np.full(40, 3.0), n=10, rng=rng)
    assert found.tolist() == k_center_greedy(x, labelled, 10).tolist()


def test_nothing_labelled_begins_anywhere():
    x = np.arange(6.0)[:, None]
    none, ones = np.zeros(6, bool), np.ones(6)
    firsts = {
        int(weighted_k_center(x, none, ones, n=1, rng=np.random.default_rng(s))[0])
        for s in range(20)
    }
    assert len(firsts) > 3
    everything = weighted_k_center(x, none, ones, rng=np.random.default_rng(0))
    assert sorted(everything.tolist()) == list(range(6))


@pytest.mark.parametrize(
    ('weights', 'n', 'message'),
    [([1.0, -1.0], 1, 'at least 0'), ([1.0], 1, r'shape \(N,\)'), ([1.0, np.nan], 1, 'finite'),
     ([1.0, 1.0], 3, r'in \[0, 2\]')],
)  # fmt: skip
def test_wrong_input_is_named(weights, n, message):
    with pytest.raises(ValueError, match=message):
        weighted_k_center(
            [[0.0], [1.0]], [False, False], weights, n=n, rng=np.random.default_rng(0)
        )
