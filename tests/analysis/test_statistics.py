import itertools
import math

import numpy as np
import pytest
from scipy import stats

from dense_al.analysis.curves import Curve
from dense_al.analysis.statistics import (
    area_under_curve,
    common_range,
    gap_closed,
    labels_to_reach,
    paired_t_interval,
    rank_correlation,
    rank_tests_note,
    read_table,
    summarise,
    write_table,
)


def curve(x, y, seed=0, metric='mIoU', axis='labels'):
    return Curve(np.array(x, float), np.array(y, float), metric, axis, seed=seed)


def test_area_equals_a_fine_riemann_sum():
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.uniform(0, 100, 9)), rng.random(9)
    low, high = x[0] + 3, x[-1] - 7
    middle = low + (np.arange(200_000) + 0.5) / 200_000 * (high - low)
    assert area_under_curve(x, y, (low, high)) == pytest.approx(np.interp(middle, x, y).mean())


def test_area_does_not_depend_on_unit_or_on_extra_points():
    x, y = np.array([0.0, 1, 4]), np.array([0.1, 0.5, 0.6])
    area = area_under_curve(x, y)
    assert area == pytest.approx((0.3 * 1 + 0.55 * 3) / 4)
    assert area_under_curve(1000 * x + 5, y) == pytest.approx(area)
    more = np.array([0, 0.5, 1, 2, 4])
    assert area_under_curve(more, np.interp(more, x, y)) == pytest.approx(area)


def test_area_of_one_point_is_its_value():
    assert area_under_curve([5], [0.25]) == 0.25


def test_area_with_a_round_that_cost_nothing():
    assert area_under_curve([0, 1, 1, 2], [0, 0, 1, 1]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ('x', 'y', 'span', 'words'),
    [
        ([], [], None, 'N > 0'),
        ([0, 1], [1], None, 'shape'),
        ([1, 0], [0, 1], None, 'never decreases'),
        ([0, 1], [0, 1], (0, 2), 'within'),
    ],
)
def test_area_refuses(x, y, span, words):
    with pytest.raises(ValueError, match=words):
        area_under_curve(x, y, span)


def test_labels_to_reach():
    c = curve([10, 20, 30, 40], [0.2, 0.4, 0.3, 0.8])
    assert labels_to_reach(c, 0.3) == pytest.approx(15)
    assert labels_to_reach(c, 0.4) == 20
    assert labels_to_reach(c, 0.55) == pytest.approx(35)
    assert labels_to_reach(c, 0.1) == 10
    assert math.isnan(labels_to_reach(c, 0.9))
    assert math.isnan(labels_to_reach(c, math.nan))


def test_interval_equals_scipy():
    rng = np.random.default_rng(1)
    a, b = rng.random(7), rng.random(7)
    ours = paired_t_interval(a, b, 0.9)
    reference = stats.ttest_rel(a, b)
    low, high = reference.confidence_interval(0.9)
    assert (ours.low, ours.high, ours.p) == pytest.approx((low, high, reference.pvalue))
    assert ours.mean == pytest.approx((a - b).mean())


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    found = [paired_t_interval(rng.normal(0.3, 1, 5), np.zeros(5), 0.8) for _ in range(2000)]
    assert np.mean([i.low <= 0.3 <= i.high for i in found]) == pytest.approx(0.8, abs=0.03)


def test_interval_of_few_or_equal_pairs():
    one = paired_t_interval([0.5], [0.25])
    assert one.mean == 0.25 and math.isnan(one.low) and math.isnan(one.p)
    assert math.isnan(paired_t_interval([], []).mean)
    same = paired_t_interval([1, 2, 3], [1, 2, 3])
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)
    with pytest.raises(ValueError, match='pairs of shape'):
        paired_t_interval([1, 2], [1])


def test_kendall_equals_counting_pairs():
    rng = np.random.default_rng(3)
    a = {f'm{i}': float(v) for i, v in enumerate(rng.random(8))}
    b = {k: float(v) for k, v in zip(a, rng.random(8))} | {'other': 1.0}
    signs = [np.sign(a[i] - a[j]) * np.sign(b[i] - b[j]) for i, j in itertools.combinations(a, 2)]
    ranks = [np.argsort(np.argsort([t[k] for k in a])) for t in (a, b)]
    ours = rank_correlation(a, b)
    assert ours.kendall == pytest.approx(np.mean(signs))
    assert ours.spearman == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert ours.n == 8 and 'other' not in ours.methods


def test_rank_correlation_needs_common_methods():
    with pytest.raises(ValueError, match='two methods or more'):
        rank_correlation({'a': 1, 'b': 2}, {'a': 1, 'c': 2})
    assert math.isnan(rank_correlation({'a': 1, 'b': 1}, {'a': 1, 'b': 2}).kendall)


@pytest.mark.parametrize('n', [2, 3, 5, 6, 9])
def test_rank_note_agrees_with_the_exact_test(n):
    smallest = stats.wilcoxon(np.arange(1, n + 1), method='exact').pvalue
    assert ('cannot reach' in rank_tests_note(n)) == (smallest >= 0.05)
    assert f'{smallest:.2g}' in rank_tests_note(n)


def groups():
    x = [10, 20, 30]
    return {
        'random': [curve(x, [0.2, 0.3, 0.40 + s / 100], s) for s in range(3)],
        'ours': [curve(x, [0.2, 0.4, 0.50 + s / 50], s) for s in range(1, 4)],
    }


def test_summary_pairs_by_seed():
    random, ours = summarise(groups(), 'random', full_supervision=0.5, share=0.9)
    assert ours.pairs == 2 and ours.seeds == 3
    assert ours.final_diff == pytest.approx(np.mean([0.52 - 0.41, 0.54 - 0.42]))
    assert ours.final_std == pytest.approx(np.std([0.52, 0.54, 0.56], ddof=1))
    assert math.isnan(random.final_diff)
    assert random.reach_target == pytest.approx(0.45)
    assert (random.reached, ours.reached) == (0, 3)
    assert math.isnan(random.reach_mean)
    costs = [20 + 10 * 0.05 / (0.1 + s / 50) for s in (1, 2, 3)]
    assert ours.reach_mean == pytest.approx(np.mean(costs))


def test_a_run_that_has_only_begun_spoils_no_difference():
    def of(*ys):
        return [curve(range(len(y)), y, seed) for seed, y in enumerate(ys)]

    a, b = of((1, 5), (1, 7), (1,)), of((1, 4), (1, 5), (1, 2))
    found = summarise({'b': b, 'a': a}, 'b')[1]
    assert (found.pairs, found.final_diff, found.auc_diff) == (2, 1.5, 0.75)
    assert found.auc_mean == pytest.approx(3.5)
    longer = of((1, 4, 9), (1, 5, 9))
    assert summarise({'b': longer, 'a': a[:2]}, 'b')[1].final_diff == 1.5


def test_summary_takes_areas_over_the_common_range():
    data = {'a': [curve([10, 20, 30], [0, 1, 1])], 'b': [curve([0, 20], [0, 1])]}
    assert common_range([c for v in data.values() for c in v]) == (10, 20)
    a, b = summarise(data)
    assert (a.auc_mean, b.auc_mean) == pytest.approx((0.5, 0.75))
    ceiling = [curve([600], [1])]
    *rows, last = summarise({**data, 'all labels': ceiling}, 'a')
    assert [r.auc_mean for r in rows] == pytest.approx([0.5, 0.75])
    assert math.isnan(last.auc_mean) and last.final_mean == 1
    apart = {'a': [curve([0, 1], [0, 1])], 'b': [curve([2, 3], [0, 1])]}
    assert math.isnan(summarise(apart)[0].auc_mean)


def test_summary_refuses():
    with pytest.raises(ValueError, match='Did you mean `random`'):
        summarise(groups(), 'randm')
    mixed = {'a': [curve([0, 1], [0, 1])], 'b': [curve([0, 1], [0, 1], metric='mAP')]}
    with pytest.raises(ValueError, match='one metric, but got mAP, mIoU'):
        summarise(mixed)


def test_table_round_trip(tmp_path):
    rows = summarise(groups(), 'random', full_supervision=0.5)
    write_table(rows, tmp_path / 'table.csv')
    assert str(read_table(tmp_path / 'table.csv')) == str(rows)
    (tmp_path / 'other.csv').write_text('a,b\n1,2\n')
    with pytest.raises(ValueError, match='Expected columns'):
        read_table(tmp_path / 'other.csv')


def test_gap_closed_goes_from_each_seeds_own_floor():
    found = gap_closed([curve([0, 1, 2], [0.2, 0.3, 0.4]), curve([0, 1], [0.1, 0.4], 1)], 0.6)
    assert found == pytest.approx([0, (0.25 + 0.6) / 2])
    assert np.isnan(gap_closed([curve([0, 1], [0.7, 0.8])], 0.6)).all()


def test_gaps_are_one_line_per_method():
    from dense_al.analysis.compare import format_gaps

    text = format_gaps({'a': [curve([0, 1], [0.2, 0.3])], 'longer': [curve([0], [0.2])]}, 0.6)
    assert text.splitlines()[1:] == ['a         0.0 %   25.0 %', 'longer    0.0 %']
