"""Studies: descriptions, stored runs of them, verdicts, pages."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from study_layouts import STUDY, store, store_all, write_study

from dense_al.analysis.curves import Curve
from dense_al.analysis.pages import _claim_sentence, index_page, study_figure, study_page
from dense_al.analysis.plot import to_png
from dense_al.analysis.studies import Claim, load_entries, missing_runs
from dense_al.analysis.verdicts import (
    differences,
    judge,
    level_of,
    mean_and_std,
    shares_of,
    signed_rank_p,
    verdict,
)


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / 'studies')


@pytest.fixture
def load(study, tmp_path):
    """Loads the entries of the study from what is stored by now."""
    return lambda: load_entries(study, tmp_path / 'cells', lambda config: 'current')


def curves(*rows, x=(0.0, 0.02, 0.04, 0.06)):
    return [
        Curve(np.array(x[: len(y)]), np.array(y, float), 'mIoU', 'fraction', seed=s)
        for s, y in enumerate(rows)
    ]


@pytest.mark.parametrize(
    'old, new, message',
    [
        ('axis: percent', 'axis: percents', 'percent'),
        ('findings:', 'finding:', 'findings'),
        ('title: Made-up streets', '', '`title`'),
        ('methods: [entropy]', 'methods: [entopy]', 'entropy'),
        ('share: 0.95', 'share: 95', r'\(0, 1\]'),
        ('  share: 0.95\n', '', '`share`'),
        ('configs/entropy.py', 'other/random.py', 'twice'),
        ('ceilings:\n  all labels: configs/full.py\n', '', 'ceiling'),
        ('seeds: [0, 1, 2]', 'seeds: []', 'seed'),
        ('floor:\n', 'floor:\n  more: configs/more.py\n', 'one floor'),
        ('title: Made-up', 'title: [Made-up', 'YAML'),
    ],
)
def test_a_wrong_description_is_refused(tmp_path, old, new, message):
    assert old in STUDY
    with pytest.raises(ValueError, match=message) as error:
        write_study(tmp_path, STUDY.replace(old, new))
    assert 'made_up.yaml' in str(error.value)


def test_runs_of_another_config_are_missing_and_named(study, load, tmp_path):
    store(tmp_path / 'cells', 'random', 0, [40, 50])
    store(tmp_path / 'cells', 'random', 1, [40, 90], key='before')
    entries = load()
    random = entries[0]
    assert [c['seed'] for c in random.cells] == [0]
    assert (random.missing, random.foreign) == ((2,), (1,))
    lines = missing_runs(entries)
    assert lines[:2] == [
        'random (random): seed 2',
        'random (random): seed 1, stored of another config',
    ]
    assert lines[2] == 'entropy (entropy): seeds 0, 1, 2' and len(lines) == 5
    page = study_page(study, entries, None)
    assert '90.0' not in page and '- ' + lines[1] in page and '| random | 1 of 3 |' in page


def test_keys_are_asked_only_where_something_is_stored(study, tmp_path):
    store(tmp_path / 'cells', 'entropy', 0, [40, 50])
    asked = []
    load_entries(study, tmp_path / 'cells', lambda config: asked.append(config) or 'current')
    assert asked == ['configs/entropy.py']


def test_shares_are_those_of_the_means(load, tmp_path):
    store_all(tmp_path / 'cells')
    entries = load()
    assert level_of(entries, 'ceiling') == 60 and level_of(entries, 'floor') == 30
    of_ceiling, of_gap = shares_of(entries, entries[1])
    np.testing.assert_allclose(of_ceiling, np.array([41, 48, 51, 55, 58]) / 60)
    np.testing.assert_allclose(of_gap, np.array([11, 18, 21, 25, 28]) / 30)
    without = [e for e in entries if e.kind != 'floor']
    np.testing.assert_allclose(shares_of(without, entries[1])[1][[0, -1]], [0, 17 / 19])
    unknown = [replace(e, cells=()) if e.kind == 'floor' else e for e in entries]
    assert np.isnan(shares_of(unknown, entries[1])[1]).all()


def test_mean_and_std_leave_out_rounds_that_some_lack():
    mean, spread = mean_and_std(curves([1, 2, 3], [3, 6]))
    np.testing.assert_allclose(mean, [2, 4])
    np.testing.assert_allclose(spread, [math.sqrt(2), math.sqrt(8)])
    assert np.isnan(mean_and_std(curves([1, 2]))[1]).all()


@pytest.mark.parametrize(
    'at, share, reached',
    [
        (0.04, 0.95, True),
        (0.03, 0.95, False),
        (0.06, 1.0, True),
        (0.061, 1.01, False),  # the curve ends a little before
        (0.08, 1.01, None),  # and far before
        (0.08, 1.0, True),  # with fewer labels than claimed
    ],
)
def test_a_claim_is_read_at_its_budget(at, share, reached):
    found = verdict('a', curves([40, 50, 57, 60]), 60, share, at)
    assert found.reached is reached
    assert found.at == min(at, 0.06)


@pytest.mark.parametrize(('share', 'reached'), [(0.6, None), (0.95, False)])
def test_a_curve_that_begins_after_the_claim_shows_no_more_than_its_beginning(share, reached):
    late = [replace(c, x=c.x + 0.1) for c in curves([40, 50, 57])]
    found = verdict('a', late, 60, share, 0.05)
    assert found.reached is reached
    assert (found.at, found.share) == pytest.approx((0.1, 40 / 60))
    sentence = _claim_sentence(SimpleNamespace(claim=Claim('text', share, 0.05, ())), found)
    assert ('the runs begin after 5 % of the labels' in sentence) is (reached is None)


def test_a_claim_is_judged_by_the_mean_and_counted_by_seed():
    found = verdict('a', curves([40, 50, 56], [40, 50, 60]), 60, 0.95, 0.03)
    values = np.array([53, 55]) / 60
    assert found.reached is False and found.seeds == 2 and found.seeds_reached == 0
    assert found.share == pytest.approx(values.mean())
    low, high = stats.t.interval(0.95, 1, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    later = verdict('a', curves([40, 50, 56], [40, 50, 60]), 60, 0.95, 0.04)
    assert later.reached is True and later.seeds_reached == 1
    assert later.reached_at == pytest.approx(0.02 + 0.02 * 7 / 8)


def test_without_ceiling_or_runs_a_claim_is_open(study, load, tmp_path):
    (found,) = judge(study, load())
    assert found.reached is None and found.seeds == 0
    store(tmp_path / 'cells', 'entropy', 0, [40, 59])
    (found,) = judge(study, load())
    assert found.reached is None and found.seeds == 1 and math.isnan(found.share)
    page = study_page(study, load(), None)
    assert 'open, the ceiling is not stored' in page and 'Shares of the ceiling' not in page
    assert judge(replace(study, claim=None), load()) == []


def test_differences_pair_the_seeds_that_both_have(study, load, tmp_path):
    store_all(tmp_path / 'cells')
    store(tmp_path / 'cells', 'random', 2, [0, 0, 0, 0, 0], key='before')
    (found,) = differences(study, load(), study.baseline)
    assert found.label == 'entropy' and found.interval.n == 2
    expected = np.trapezoid([0, 3, 4, 7, 7]) / 4, np.trapezoid([0, 3, 4, 7, 8]) / 4
    assert found.interval.mean == pytest.approx(np.mean(expected))
    assert found.sign == 1 and math.isnan(found.p)


def test_a_run_of_a_single_round_has_no_area_and_spoils_no_other(study, load, tmp_path):
    store_all(tmp_path / 'cells')
    store(tmp_path / 'cells', 'entropy', 2, [70])
    (found,) = differences(study, load(), study.baseline)
    assert found.interval.n == 2 and math.isfinite(found.interval.mean)
    assert '| entropy |' in study_page(study, load(), None)


def test_a_second_reference_has_a_column_and_a_verdict_of_its_own(tmp_path):
    methods = '  margin: configs/margin.py\n  entropy:'
    text = STUDY.replace('  entropy:', methods, 1) + '\nagainst: [margin]\n'
    study = write_study(tmp_path, text)
    store_all(tmp_path / 'cells')
    for seed in (0, 1, 2):
        store(tmp_path / 'cells', 'margin', seed, [70 + seed] * 5)
    entries = load_entries(study, tmp_path / 'cells', lambda config: 'current')
    first, second = (differences(study, entries, r) for r in study.references)
    assert [d.label for d in first] == ['margin', 'entropy']
    assert [d.label for d in second] == ['entropy'] and second[0].sign == -1
    page = ' '.join(study_page(study, entries, None).split())
    assert 'entropy above random; entropy below margin' in page.replace('margin, ', '')
    assert '| difference to random | difference to margin |' in page
    for wrong in ('[random]', '[margn]'):
        with pytest.raises(ValueError, match='`against`'):
            write_study(tmp_path, text.replace('[margin]', wrong))


def test_rank_tests_are_given_only_where_they_can_be_significant():
    a = np.array([1.0, 2, 3, 4, 5, 6.5])
    assert math.isnan(signed_rank_p(a[:5], np.zeros(5)))
    assert signed_rank_p(a, np.zeros(6)) == pytest.approx(2 / 2**6)
    assert signed_rank_p(a, a) == 1
    with pytest.raises(ValueError, match='pairs'):
        signed_rank_p(a, a[:3])


def test_enough_seeds_bring_a_column_with_p(tmp_path):
    study = write_study(tmp_path, STUDY.replace('[0, 1, 2]', '[0, 1, 2, 3, 4, 5]'))
    store_all(tmp_path / 'cells', range(6))
    entries = load_entries(study, tmp_path / 'cells', lambda config: 'current')
    page = study_page(study, entries, None)
    assert '| Wilcoxon p |' in page and '| 0.031 |' in page and 'can go down to' in page
    few = [replace(e, cells=e.cells[:5]) for e in entries]
    assert 'Wilcoxon p' not in study_page(study, few, None)


def test_a_page_says_what_was_measured(study, load, tmp_path):
    store_all(tmp_path / 'cells', commit='abc', finished='2025-11-21T16:00:00+00:00')
    page = study_page(study, load(), '../images/made_up_curves.png')
    for text in (
        '**reached**; 96.7 % [92.5 %, 100.8 %] of the ceiling at 5 % of the labels, 3 of 3 runs',
        '| entropy | 3 | 41.0 ± 1.0 | 48.0 ± 1.0 | 51.0 ± 1.0 | 55.0 ± 0.0 | 58.0 ± 1.0 |',
        'method | seeds | 1 % | 2 % | 3 % | 4 % | 5 % | difference to random | clicks | hours |',
        '| all labels | 3 |  |  |  |  | 60.0 ± 1.0 |',
        '97 % (93 %)',
        'Because.',
        '12 runs with torch 2.13.0, 1 thread, commit abc, finished 2025-11-21.',
        'tools/make_results.py --run made_up',
        '--seeds 0 1 2',
        '![Learning curves](../images/made_up_curves.png)',
    ):
        assert text in ' '.join(page.split()) or text in page, text
    assert 'Missing' not in page


def test_an_interrupted_study_has_a_page_that_grows(study, load, tmp_path):
    store_all(tmp_path / 'cells', [0])
    first = study_page(study, load(), None)
    assert '4 of 12 runs' in first and '| entropy | 1 of 3 |' in first
    assert (
        'fewer than two pairs of runs with random' in first
        and '±' not in first.split('## Measured')[1].split('|', 1)[1]
    )
    store_all(tmp_path / 'cells', [1, 2])
    whole = study_page(study, load(), None)
    assert '12 of 12 runs' in whole and 'entropy above random' in whole


def test_the_same_cells_give_the_same_bytes(study, load, tmp_path):
    store_all(tmp_path / 'cells')
    assert study_page(study, load(), None) == study_page(study, load(), None)
    first, second = (to_png(study_figure(study, load())) for _ in range(2))
    assert first == second
    store(tmp_path / 'cells', 'entropy', 0, [40, 47, 50, 55, 59])
    assert to_png(study_figure(study, load())) != first


def test_the_picture_has_floor_and_ceiling_in_percent(study, load, tmp_path):
    assert study_figure(study, load()) is None
    store_all(tmp_path / 'cells')
    axes = study_figure(study, load()).axes[0]
    level = {line.get_label(): line.get_ydata()[0] for line in axes.lines}
    assert level['floor'] == 30 and level['all labels'] == 60
    assert axes.lines[0].get_xdata()[-1] == pytest.approx(5)


def test_costs_that_differ_number_the_rounds(study, load, tmp_path):
    store_all(tmp_path / 'cells')
    for seed in range(3):
        store(
            tmp_path / 'cells', 'random', seed, [40, 44, 46, 48, 50], [0.01, 0.03, 0.04, 0.05, 0.06]
        )
    page = study_page(study, load(), None)
    assert '| seeds | 1 % | round 1 | round 2 | round 3 | round 4 |' in page


def test_the_index_has_a_line_per_study(study, load, tmp_path):
    empty = load()
    store_all(tmp_path / 'cells')
    waiting = replace(study, title='Waiting', earlier='earlier.md#streets')
    text = index_page([(study, load()), (waiting, empty)], {'earlier.md': 'Earlier'})
    assert '[Made-up streets](made_up.md) | 12 of 12 |' in text
    assert 'claimed: 95 % at 5 % of the labels; entropy **reached**, 96.7 %' in text
    assert '| Waiting | 0 of 12; [measured earlier](earlier.md#streets) |' in text
    assert '- [Earlier](earlier.md)' in text
