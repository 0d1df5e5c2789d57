"""Studies that are interrupted and extended: curves stored per method and seed."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dense_al.analysis import compare
from dense_al.analysis.cells import (
    cell_file,
    commit_of,
    curve_of_cell,
    key_of_file,
    read_cell,
    write_cell,
)
from dense_al.analysis.compare import Grid
from dense_al.analysis.curves import load_curve
from dense_al.analysis.runs import load_run
from dense_al.config import read_config
from dense_al.interrupts import interrupts


@pytest.fixture
def finished(write_run):
    return write_run(seed=3)


def test_a_stored_curve_is_that_of_the_run(finished, tmp_path):
    path = cell_file(tmp_path / 'cells', 'entropy', 3)
    write_cell(path, load_run(finished), 'abc')
    found = read_cell(path, 'abc')
    for axis in ('labels', 'pixels', 'clicks', 'seconds', 'fraction'):
        stored, own = curve_of_cell(found, axis), load_curve(finished, axis)
        np.testing.assert_array_equal(stored.x, own.x)
        np.testing.assert_array_equal(stored.y, own.y)
        assert (stored.metric, stored.x_label, stored.seed) == (own.metric, own.x_label, own.seed)
    with pytest.raises(ValueError, match='Did you mean `clicks`'):
        curve_of_cell(found, 'click')
    del found['rounds'][1]['labelled']['clicks']
    with pytest.raises(ValueError, match='`labelled.clicks` of round 1 in .* entropy seed 3'):
        curve_of_cell(found, 'clicks')
    assert read_cell(path, 'other') is None and read_cell(path) is not None
    assert read_cell(tmp_path / 'nothing.json') is None


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / 'seed_0.json'
    path.write_text('{"rounds":')
    with pytest.raises(ValueError, match='seed_0.json'):
        read_cell(path)


@pytest.fixture
def grid(write_run, tmp_path, monkeypatch):
    """A grid whose processes only write finished runs, and the commands they were given."""
    commands = []

    def run(words, env=None):
        commands.append(words)
        folder = Path(words[words.index('--work-dir') + 1]).relative_to(write_run.root)
        if not (write_run.root / folder).exists():
            write_run(seed=int(words[words.index('--seed') + 1]), folder=str(folder))
        return SimpleNamespace(returncode=0, poll=lambda: 0)

    monkeypatch.setattr(compare, 'subprocess', SimpleNamespace(Popen=run))
    monkeypatch.setattr(compare, 'LOOK', 0)
    return Grid(write_run.root / 'runs', 1, (), tmp_path / 'cells'), commands


def configs(folder, *names):
    for name in names:
        (folder / f'{name}.py').write_text(f"acquisition = dict(type='{name}')\n")
    return [str(folder / f'{name}.py') for name in names]


def test_stored_runs_are_not_run_again(grid, tmp_path):
    study, commands = grid
    both = configs(tmp_path, 'a', 'b')
    study.run(both, [0])
    assert len(commands) == 3  # the shared start, then both
    before = study.curves(both, [0], 'pixels')
    commands.clear()
    study.run(both, [0])
    assert not commands
    study.run(both, [0, 1])
    assert {c[c.index('--seed') + 1] for c in commands} == {'1'}
    after = study.curves(both, [0, 1], 'pixels')
    assert {m: len(c) for m, c in after.items()} == {'a': 2, 'b': 2}
    np.testing.assert_array_equal(after['a'][0].y, before['a'][0].y)


def test_a_changed_config_or_option_is_run_again(grid, tmp_path):
    study, commands = grid
    (config,) = configs(tmp_path, 'a')
    study.run([config], [0])
    commands.clear()
    Grid(study.work_dir, 1, ('--cfg-options', 'x=1'), study.cells).run([config], [0])
    assert len(commands) == 1
    commands.clear()
    (tmp_path / 'a.py').write_text("acquisition = dict(type='other')\n")
    study.run([config], [0])
    assert len(commands) == 1
    stored = json.loads(cell_file(study.cells, 'a', 0).read_text())
    assert stored['method'] == 'a' and len(stored['rounds']) > 1


def started_from(commands):
    """Method -> the method whose start it takes over, None for its own."""
    found = {}
    for words in commands:
        given = words[words.index('--start-from') + 1] if '--start-from' in words else None
        found[Path(words[2]).stem] = given and Path(given).parent.name
    return found


def test_more_methods_take_over_the_start_that_is_there(grid, tmp_path):
    study, commands = grid
    a, b, c, d = configs(tmp_path, 'a', 'b', 'c', 'd')
    study.run([b], [0])
    commands.clear()
    study.run([a, b, c, d], [0])
    assert not any('--stop-at-start' in words for words in commands)
    assert started_from(commands) == {'a': 'b', 'c': 'b', 'd': 'b'}


def test_the_first_that_is_left_trains_the_start(grid, tmp_path):
    study, commands = grid
    study.run(configs(tmp_path, 'a', 'b', 'c'), [0])
    assert '--stop-at-start' in commands[0] and Path(commands[0][2]).stem == 'a'
    assert started_from(commands[1:]) == {'a': None, 'b': 'a', 'c': 'a'}


TRAIN = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
folder.mkdir(parents=True)
if '--fail' in sys.argv: sys.exit(int(folder.name == 'seed_1'))
def end(*_):
    (folder / 'ended').touch()
    sys.exit(130)
signal.signal(signal.SIGTERM, end)
(folder / 'begun').touch()
time.sleep(60)
"""


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, 'TRAIN', tmp_path / 'train.py')
    compare.TRAIN.write_text(TRAIN)
    return configs(tmp_path, 'a')


def test_an_interrupted_grid_ends_its_runs(train, tmp_path, monkeypatch):
    runs = [tmp_path / f'runs/a/seed_{seed}' for seed in range(3)]

    def sleep(_):
        if all((run / 'begun').exists() for run in runs[:2]):
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

    monkeypatch.setattr(compare, 'time', SimpleNamespace(sleep=sleep))
    with pytest.raises(KeyboardInterrupt), interrupts():
        Grid(tmp_path / 'runs', 2).run(train, range(3))
    assert [(run / 'ended').exists() for run in runs] == [True, True, False]
    assert not runs[2].exists()


def test_failed_runs_are_named_after_the_others_have_finished(train, tmp_path):
    with pytest.raises(RuntimeError, match=r'but 1 did not:\n  .*--seed 1 ') as error:
        Grid(tmp_path / 'runs', 2, ('--fail',)).run(train, range(4))
    assert '--seed 0' not in str(error.value)
    assert all((tmp_path / f'runs/a/seed_{seed}').exists() for seed in range(4))


def test_a_key_does_not_depend_on_where_the_data_lie(tmp_path, monkeypatch):
    config = tmp_path / 'a.py'
    config.write_text("root = '{{$DENSE_AL_REAL_DATA:data}}/cells'\nx = 1\n")
    monkeypatch.delenv('DENSE_AL_REAL_DATA', raising=False)
    key = key_of_file(config)
    monkeypatch.setenv('DENSE_AL_REAL_DATA', '/elsewhere')
    assert key_of_file(config) == key
    assert read_config(config).root == '/elsewhere/cells'
    assert key_of_file(config, ['--x', '1']) != key
    config.write_text(config.read_text().replace('x = 1', 'x = 2'))
    assert key_of_file(config) != key


def git(folder, *words):
    who = ('-c', 'user.name=a', '-c', 'user.email=a@b')
    subprocess.run(['git', '-C', str(folder), *who, *words], check=True, capture_output=True)


def test_the_commit_is_that_of_the_checkout(tmp_path):
    assert commit_of(tmp_path) is None
    git(tmp_path, 'init', '-q')
    (tmp_path / 'dense_al').mkdir()
    (tmp_path / 'dense_al/a.py').write_text('')
    git(tmp_path, 'add', '.')
    git(tmp_path, 'commit', '-qm', 'first')
    clean = commit_of(tmp_path)
    assert clean and len(clean) == 10
    (tmp_path / 'notes.md').write_text('not code')
    assert commit_of(tmp_path) == clean
    (tmp_path / 'dense_al/a.py').write_text('changed')
    assert commit_of(tmp_path) == clean + '+'
    assert commit_of(tmp_path / 'dense_al') is None  # inside of another project


def test_a_stored_run_says_when_it_was_made(finished, tmp_path):
    path = cell_file(tmp_path, 'entropy', 3)
    last = sorted(finished.glob('rounds/*/train.json'))[-1]
    os.utime(last, (0, 86400))
    write_cell(path, load_run(finished), 'abc')
    found = read_cell(path)
    assert found['finished'] == '1970-01-02T00:00:00+00:00'
    assert found['commit'] == commit_of() and found['versions'] == {'torch': '2.13.0'}
