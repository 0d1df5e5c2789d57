"""The command line itself: how to go on, what is kept of errors, which initial labels fit."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from dense_al import machine
from dense_al.acquisition import Composed, PixelUncertainty
from dense_al.adapters.task import Rounds
from dense_al.engine import INITIAL, RunStore
from dense_al.engine import main as module
from dense_al.engine.build import CONFIGS, _resolved
from dense_al.engine.checks import check_run
from dense_al.engine.main import MISTAKE, WAITING, main
from dense_al.engine.store import write_json
from dense_al.oracles import GroundTruth, WaitingForAnswers
from dense_al.pool import AnswerStore
from dense_al.registry import ConfigError
from dense_al.structures import Answer, Budget, Pixels
from dense_al.testing.stub import GridUnits, StubTask

SUPERPIXELS = dict(type='Superpixels', n_segments=16)


@pytest.mark.parametrize(
    'options',
    [
        ['--cfg-options=a=b', '--seed', '4'],
        ['--cfg-options', 'a=b', 'c=[1,2]'],
        ['--cfg-options=a=b', '--cfg-options', 'c=d e'],
        ['--allow-other-environment', '--start-from', 'there'],
        ['--stop-at-start', '--sandbox', '--cfg-o', 'a=1'],
    ],
)
def test_the_command_that_goes_on_is_complete(options):
    import shlex

    args = module.parse(['c.py', '--work-dir', 'w', *options])
    words = shlex.split(module._resume_command(args))
    again = module.parse(words[2:])
    assert again.resume
    again.resume = False
    again.options_as_given = args.options_as_given
    assert vars(again) == vars(args)


def test_options_count_in_a_sandbox():
    config = str(CONFIGS / 'd2ada/gta5_deeplabv2_d2ada.py')
    options = ['rounds.iterations=7', 'budget.per_round=3', 'budget.unit=units', 'rounds.count=2']
    args = module.parse([config, '--sandbox', '--cfg-options', *options, 'sandbox.spec.n_train=9'])
    found = _resolved(args)
    assert found['rounds']['iterations'] == 7 and found['rounds']['count'] == 2
    assert found['budget'] == dict(per_round=3, unit='units')
    assert found['sandbox']['spec']['n_train'] == 9


def test_a_sandbox_has_a_folder_of_its_own():
    real, small = module.parse(['a/c.py']), module.parse(['a/c.py', '--sandbox'])
    assert (real.work_dir, small.work_dir) == ('work_dirs/c', 'work_dirs/c_sandbox')


@pytest.mark.parametrize(
    ('launcher', 'start'),
    [('pytorch', 'torchrun --nproc_per_node 4 tools/al_train.py'), ('slurm', 'srun python tools/')],
)
def test_the_command_that_goes_on_starts_as_many_processes(monkeypatch, launcher, start):
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    args = module.parse(['c.py', '--work-dir', 'w', '--launcher', launcher])
    assert module._resume_command(args).startswith(start)


@pytest.mark.parametrize(
    ('launcher', 'starter', 'told'),
    [('slurm', 'srun', 'SLURM_STEP_NODELIST'), ('pytorch', 'torchrun', 'RANK')],
)
def test_a_launcher_without_its_starter_is_a_mistake(
    tmp_path, monkeypatch, caplog, launcher, starter, told
):
    monkeypatch.delenv(told, raising=False)
    assert main(['c.py', '--work-dir', str(tmp_path), '--launcher', launcher]) == MISTAKE
    assert f'Expected to be started by {starter}' in caplog.text and told in caplog.text


def failing(tmp_path, error):
    def run(stop_after):
        raise error

    return SimpleNamespace(store=RunStore(tmp_path), run=run)


def test_a_traceback_is_kept_once_the_run_has_begun(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, 'plan', lambda learner, exact=False: '')
    monkeypatch.setattr(module, 'build', lambda args: failing(tmp_path, ValueError('deep inside')))
    assert main(['c.py', '--work-dir', str(tmp_path)]) == MISTAKE
    assert 'ValueError: deep inside' in caplog.text and 'Traceback (' not in caplog.text
    log = (tmp_path / 'error.log').read_text()
    assert 'Traceback (most recent call last)' in log and 'raise error' in log
    monkeypatch.setattr(module, 'build', lambda args: failing(tmp_path, RuntimeError('of torch')))
    with pytest.raises(RuntimeError, match='of torch'):
        main(['c.py', '--work-dir', str(tmp_path)])
    log = (tmp_path / 'error.log').read_text()
    assert log.count('Traceback (most') == 2 and 'deep inside' in log and 'of torch' in log


def test_mistakes_before_the_run_and_waiting_leave_no_traceback(tmp_path, monkeypatch, caplog):
    def wrong(args):
        raise ConfigError('no such key')

    monkeypatch.setattr(module, 'plan', lambda learner, exact=False: '')
    monkeypatch.setattr(module, 'build', wrong)
    assert main(['c.py', '--work-dir', str(tmp_path)]) == MISTAKE
    waiting = WaitingForAnswers('not yet')
    monkeypatch.setattr(module, 'build', lambda args: failing(tmp_path, waiting))
    assert main(['c.py', '--work-dir', str(tmp_path)]) == WAITING
    assert not (tmp_path / 'error.log').exists()


def test_pixels_come_before_regions():
    rounds = Rounds(count=2)
    regions = Composed(unit=SUPERPIXELS, score='Entropy')
    pixels, budgets = PixelUncertainty(score='Random'), (Budget(1), Budget(1))
    check_run(StubTask(), GroundTruth(), regions, pixels, rounds, budgets)
    other = Composed(unit=dict(type='Superpixels', n_segments=9), score='Random')
    with pytest.raises(ConfigError, match='unit` to be Image or the units of `acquisition`'):
        check_run(StubTask(), GroundTruth(), regions, other, rounds, budgets)


def test_initial_labels_are_counted_in_the_unit_of_the_rounds():
    from dense_al.engine.build import _initial_budget

    rounds = Rounds(count=2, initial=dict(budget=dict(per_round=3)))
    assert _initial_budget(rounds, Budget(1, 'percent')) == Budget(3, 'percent')
    rounds = Rounds(count=2, initial=dict(budget=dict(per_round=3, unit='clicks')))
    assert _initial_budget(rounds, Budget(1, 'percent')) == Budget(3, 'clicks')
    assert _initial_budget(Rounds(count=2), Budget(1, 'percent')) == Budget(1, 'percent')


def test_outlines_need_a_model_with_masks():
    regions, budgets = Composed(unit=SUPERPIXELS, score='Entropy'), (Budget(1), Budget(1))
    none: np.ndarray = np.zeros(0, np.int64)
    with pytest.raises(ConfigError, match='model with masks, as `oracle.unsure` 2'):
        check_run(StubTask(), GroundTruth(unsure=2), regions, none, Rounds(count=2), budgets)


def test_a_run_of_regions_that_begins_with_pixels(tmp_path):
    from test_learner import learner

    learner(tmp_path, initial=PixelUncertainty(score='Random', per_image=2)).run()
    store = RunStore(tmp_path)
    assert store.query(INITIAL).kind == 'point' and store.query(0).kind == 'region'


def test_numbers_that_are_not_finite_are_null(tmp_path):
    content = {'a': float('nan'), 'b': [float('inf'), 1.5], 'c': {'d': (-float('inf'), 2)}}
    write_json(tmp_path / 'x.json', content)

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads((tmp_path / 'x.json').read_text(), parse_constant=refuse)
    assert found == {'a': None, 'b': [None, 1.5], 'c': {'d': [None, 2]}}


def test_a_metric_that_is_not_a_number_is_recorded_and_reported(tmp_path, caplog):
    from test_learner import learner

    class Lost(StubTask):
        def _result(self, job, means, known):
            found = super()._result(job, means, known)
            found.metrics['mAcc'] = float('nan')
            return found

    with caplog.at_level('INFO', logger='dense_al'):
        learner(tmp_path, task=Lost()).run()
    assert RunStore(tmp_path).read(3, 'train')['value'] is None
    assert 'mAcc nan' in caplog.text


def test_one_class_is_not_mistaken_for_another():
    label = Pixels(np.array([0, 0, 255], np.uint8))
    assert label.mistaken(1.0, 1, np.random.default_rng(0)).labels.tolist() == [0, 0, 255]


@pytest.mark.parametrize('unit', [16, 99, -1])
def test_a_region_beyond_the_map_is_named(unit):
    manifest = StubTask().manifest
    payload = Pixels(np.zeros(16, np.uint8)).encode()
    answer = Answer(0, -1, unit, 'region', 'answered', 'x', 16, 0, 0.0, 0.0, -1, payload)
    with pytest.raises(ValueError, match=f'in region {unit} of `000`.*the units have changed'):
        AnswerStore([answer], manifest, GridUnits(manifest)).dense_labels(0)


def test_cores_are_counted_everywhere(monkeypatch):
    assert machine.cores() >= 1
    monkeypatch.delattr(machine.os, 'sched_getaffinity')
    assert machine.cores() >= 1
