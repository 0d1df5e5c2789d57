import json

import numpy as np
import pytest

from dense_al.analysis import curve_of, group_runs, load_curve, load_run
from dense_al.analysis.plot import mean_band
from dense_al.engine.reopen import find_runs


def test_reads_a_finished_run(runs_folder):
    run = load_run(runs_folder / 'entropy/seed_1')
    assert (run.name, run.seed, run.method, run.metric) == ('seed_1', 1, 'Entropy', 'mIoU')
    assert (run.kind, run.state, len(run.rounds)) == ('region', 'finished', 5)
    assert run.initial is not None and run.initial.index == -1
    assert [r.index for r in run.all_rounds] == [-1, 0, 1, 2, 3, 4]
    assert run.rounds[-1].query_table() is None
    assert run.rounds[0].answers_table().num_rows == 20
    assert run.classes[3] == 'car'


@pytest.mark.parametrize(
    ('x', 'key'), [('labels', 'units'), ('pixels', 'elements'), ('clicks', 'clicks')]
)
def test_curve_holds_what_train_json_holds(runs_folder, x, key):
    path = runs_folder / 'random/seed_0'
    curve = load_curve(path, x)
    for number in range(5):
        train = json.loads((path / f'rounds/{number:03d}/train.json').read_text())
        assert curve.x[number] == train['labelled'][key]
        assert curve.y[number] == train['value']
    assert load_curve(path).x_label == 'labelled regions'


@pytest.mark.parametrize(
    ('stop', 'state'),
    [
        ('query', 'waiting for answers'),
        ('round', 'training'),
        ('uncommitted', 'finished'),
    ],
)
def test_reads_unfinished_runs(write_run, stop, state):
    run = load_run(write_run(rounds=2, stop=stop))
    assert run.state == state
    assert len(curve_of(run).x) == 2
    if stop == 'uncommitted':
        assert run.rounds[-1].query_table() is None


def test_a_round_in_training_is_not_counted(write_run):
    path = write_run(rounds=2, stop='round')
    (path / 'rounds/002/train').mkdir(parents=True)
    assert len(load_run(path).rounds) == 2


def test_a_run_without_a_trained_round(write_run):
    path = write_run(rounds=0)
    assert load_run(path).state == 'not trained yet'
    with pytest.raises(ValueError, match='a trained round, but got none'):
        load_curve(path)


def test_says_which_runs_are_near(write_run, tmp_path):
    path = write_run('random', 0)
    with pytest.raises(FileNotFoundError, match='Expected the folder of a run') as error:
        load_run(tmp_path / 'random/seed_1')
    assert str(path) in str(error.value) and 'does not exist' in str(error.value)
    assert find_runs(tmp_path) == [path]


def test_says_what_is_damaged(write_run):
    path = write_run(rounds=3)
    (path / 'rounds/001/train.json').unlink()
    with pytest.raises(ValueError, match='without train.json in .1.'):
        load_run(path)
    (path / 'rounds/001/train.json').write_text('{')
    with pytest.raises(ValueError, match='Expected JSON in .*001'):
        load_run(path)


def test_unknown_axis(runs_folder):
    with pytest.raises(ValueError, match='Did you mean `clicks`'):
        load_curve(runs_folder / 'random/seed_0', 'click')


def test_groups_by_method_and_seed(runs_folder, write_run):
    groups = group_runs(load_run(p) for p in find_runs(runs_folder))
    assert set(groups) == {'Random', 'Entropy', 'Margin + KCenter'}
    assert [r.seed for r in groups['Entropy']] == [0, 1, 2]
    again = [load_run(write_run(folder=f'x{i}')) for i in range(2)]
    with pytest.raises(ValueError, match='one run per seed of `Entropy`.*x0.*x1'):
        group_runs(again)


def test_tells_equal_names_apart(write_run):
    runs = [load_run(write_run(folder=f'x{i}', units=5 + i)) for i in range(2)]
    assert set(group_runs(runs)) == {'Entropy (budget.units=5)', 'Entropy (budget.units=6)'}


def test_mean_band_equals_a_loop(write_run):
    curves = [load_curve(write_run(seed=s, rounds=3 + s), 'clicks') for s in range(3)]
    x, mean, std = mean_band(curves)
    assert x[-1] == min(c.x[-1] for c in curves) and (np.diff(x) > 0).all()
    for i, at in enumerate(x):
        values = [np.interp(at, c.x, c.y) for c in curves]
        assert (mean[i], std[i]) == pytest.approx((np.mean(values), np.std(values, ddof=1)))


def test_what_was_planned_and_the_colours_of_the_data_set(write_run):
    path = write_run(rounds=3)
    assert load_run(path).state == 'finished'
    recorded = json.loads((path / 'environment.json').read_text())
    colours = [[i, 2 * i, 3 * i] for i in range(5)]
    recorded.update(rounds=5, palette=colours)
    (path / 'environment.json').write_text(json.dumps(recorded))
    run = load_run(path)
    assert run.state == 'asking'
    assert run.colours.tolist() == colours
