"""The loop on a stub task: what it asks, what it records, what a kill leaves."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from dense_al.acquisition import Composed
from dense_al.engine import INITIAL, Learner, Rounds, RunLockedError, RunStore
from dense_al.engine.initial import named_samples
from dense_al.oracles import GroundTruth
from dense_al.pool import AnswerStore
from dense_al.registry import ConfigError
from dense_al.structures import IGNORE, Budget
from dense_al.testing.stub import GridUnits, StubTask

GRID = dict(type='Grid', size=4)


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def learner(work_dir, on_phase=None, task=None, score='Entropy', **changes):
    task = task or StubTask()
    parts = dict(
        task=task,
        units=GridUnits(task.manifest),
        acquisition=Composed(unit=GRID, score=score),
        initial=Composed(unit=GRID, score='Random'),
        oracle=GroundTruth(noise=0.1, decline=0.1),
        budget=Budget(5),
        initial_budget=Budget(4),
        rounds=Rounds(count=4, metric='mAcc', start='previous'),
        store=RunStore(work_dir, on_phase),
        seed=3,
        progress=False,
    )
    return Learner(**{**parts, **changes})


def record(work_dir, rounds=4):
    """Everything a run decided: queries, ledger, metrics and weights."""
    store = RunStore(work_dir)
    found = []
    for r in range(INITIAL, rounds):
        if r < rounds - 1:
            found.append(store.query(r).table().to_pylist())
            found.append(store.answers(r))
        if r >= 0:
            train = store.read(r, 'train')
            found.append((train['value'], train['metrics'], train['labelled']))
            found.append(store.checkpoint(r).read_bytes())
    return found


def phases(work_dir):
    """All places a run passes."""
    names = []
    learner(work_dir, names.append).run()
    return names


def test_rounds_are_recorded_as_the_format_says(tmp_path):
    learner(tmp_path).run()
    store = RunStore(tmp_path)
    assert len(store.query(INITIAL)) == 4
    asked = [len(store.query(r)) for r in range(3)]
    assert asked == [5, 5, 5]
    assert store.read(3, 'train')['labelled']['units'] == 19
    labelled = {
        a.sample for r in range(INITIAL, 3) for a in store.answers(r) if a.label is not None
    }
    expected = {'full': 0, 'instances': 0, 'regions': len(labelled), 'points': 0, 'tags': 0}
    assert store.read(3, 'train')['samples'] == expected
    assert store.read(3, 'query') is None
    assert pq.read_table(tmp_path / 'manifest.parquet').num_rows == 8
    assert pq.read_table(tmp_path / 'rounds/001/units.parquet').num_rows == 8 * 16 - 9


def test_learning_beats_the_first_round(tmp_path):
    learner(tmp_path, budget=Budget(30), oracle=GroundTruth()).run()
    store = RunStore(tmp_path)
    assert store.read(3, 'train')['value'] > store.read(0, 'train')['value'] + 0.05


def test_there_are_at_least_twenty_places_to_kill(tmp_path):
    assert len(phases(tmp_path)) >= 20


def test_killed_anywhere_a_run_goes_on_as_if_it_had_not_been(tmp_path):
    names = phases(tmp_path / 'whole')
    expected = record(tmp_path / 'whole')
    for i, name in enumerate(names):
        work_dir = tmp_path / f'{i}'

        def kill(reached, name=name):
            if reached == name:
                raise Killed(name)

        with pytest.raises(Killed):
            learner(work_dir, kill).run()
        learner(work_dir).run()
        assert record(work_dir) == expected, name


def test_a_half_written_file_is_not_a_commit(tmp_path):
    learner(tmp_path / 'whole').run()
    learner(tmp_path / 'cut').run(stop_after=(1, 'train'))
    (tmp_path / 'cut/rounds/001/.query.json.tmp').write_text('{"round"')
    (tmp_path / 'cut/rounds/001/.query.parquet.tmp').write_bytes(b'PAR1')
    learner(tmp_path / 'cut').run()
    assert record(tmp_path / 'cut') == record(tmp_path / 'whole')


def test_finished_steps_are_not_repeated(tmp_path):
    learner(tmp_path).run()
    task = StubTask()
    learner(tmp_path, task=task).run()
    assert task.trained == [] and task.predicted == []


def test_random_runs_no_model(tmp_path):
    task = StubTask()
    learner(tmp_path, task=task, score='Random').run()
    assert task.predicted == []


def test_poison_outside_the_asked_units_changes_nothing(tmp_path):
    learner(tmp_path / 'clean').run()
    task = StubTask()
    units = GridUnits(task.manifest)
    store = RunStore(tmp_path / 'clean')
    asked = np.zeros(task.labels.shape, bool)
    for r in range(INITIAL, 3):
        query = store.query(r)
        for sample, unit in zip(query.sample, query.unit):
            asked[sample] |= units.map(int(sample)) == unit
    garbage = np.random.default_rng(0).integers(0, 4, task.labels.shape)
    task.labels = np.where(asked, task.labels, garbage).astype(np.uint8)
    learner(tmp_path / 'poisoned', task=task).run()
    clean, poisoned = record(tmp_path / 'clean'), record(tmp_path / 'poisoned')
    # The stub measures its accuracy on the poisoned labels; all else must agree.
    strip = [x for x in clean if not isinstance(x, tuple)]
    assert strip == [x for x in poisoned if not isinstance(x, tuple)]


def test_labels_outside_the_answers_are_ignored(tmp_path):
    learner(tmp_path, oracle=GroundTruth()).run()
    task = StubTask()
    ledger = RunStore(tmp_path).ledger(before=3)
    store = AnswerStore(ledger.in_force(), task.manifest, GridUnits(task.manifest))
    labels = np.stack([store.dense_labels(s) for s in range(8)])
    assert (labels != IGNORE).sum() == ledger.totals().elements
    assert (labels == task.labels)[labels != IGNORE].all()


def test_a_second_process_is_refused(tmp_path):
    import subprocess
    import sys

    RunStore(tmp_path).work_dir.mkdir(exist_ok=True)
    held = RunStore(tmp_path)
    held.lock()
    code = (
        'from dense_al.engine import RunStore, RunLockedError\n'
        f'try: RunStore({str(tmp_path)!r}).lock()\n'
        'except RunLockedError: raise SystemExit(7)'
    )
    assert subprocess.run([sys.executable, '-c', code]).returncode == 7
    held.unlock()
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
    assert issubclass(RunLockedError, RuntimeError)


def test_a_changed_pool_is_refused(tmp_path):
    learner(tmp_path).run(stop_after=(0, 'train'))
    with pytest.raises(ValueError, match='8 samples .* now holds 9'):
        learner(tmp_path, task=StubTask(n_samples=9)).run()


def test_existing_labels_cost_nothing_and_a_checkpoint_is_not_trained_again(tmp_path):
    weights = tmp_path / 'mine.npy'
    np.save(weights, np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [3.0, 3.0]]))
    task = StubTask()
    given = dict(labelled=['001', '004'], checkpoint=str(weights))
    run = learner(
        tmp_path / 'run',
        task=task,
        initial=named_samples(given['labelled'], task.manifest),
        rounds=Rounds(count=2, metric='mAcc', initial=given),
    )
    run.run()
    store = RunStore(tmp_path / 'run')
    assert task.trained == [1]
    assert store.read(0, 'train')['labelled']['elements'] == 2 * 256
    assert store.read(0, 'train')['labelled']['seconds'] == 0
    assert not set(store.query(0).sample.tolist()) & {1, 4}


def test_initial_whole_images_and_then_cells(tmp_path):
    images = Composed(unit=dict(type='Image'), score='Random')
    learner(tmp_path, initial=images, initial_budget=Budget(2), oracle=GroundTruth()).run()
    store = RunStore(tmp_path)
    assert store.query(INITIAL).kind == 'image' and store.query(0).kind == 'region'
    assert store.read(0, 'train')['labelled']['elements'] == 2 * 256


def test_unknown_names_of_existing_labels(tmp_path):
    with pytest.raises(ConfigError, match=r"Unknown sample '0001'.*`001`"):
        named_samples(['0001'], StubTask().manifest)


class HashedUnits(GridUnits):
    """Cells with a hash of each map, which may change though no cell changes its size."""

    def __init__(self, manifest, mirrored=()):
        super().__init__(manifest)
        self.mirrored = mirrored

    def map(self, sample):
        found = super().map(sample)
        return found[:, ::-1] if sample in self.mirrored else found

    def digest(self, sample):
        return str(self.map(sample)[0].tolist())


def test_a_run_whose_regions_have_changed_is_refused(tmp_path):
    manifest = StubTask().manifest
    learner(tmp_path, units=HashedUnits(manifest)).run(stop_after=(1, 'train'))
    asked = np.unique(RunStore(tmp_path).query(0).sample)
    assert RunStore(tmp_path).maps(0).keys() == set(asked.tolist())
    never = set(range(8)) - {s for r in (INITIAL, 0) for s in RunStore(tmp_path).maps(r)}
    changed = HashedUnits(manifest, mirrored=[int(asked[0])])
    with pytest.raises(ConfigError, match=f'regions of `00{asked[0]}` as they were asked in round'):
        learner(tmp_path, units=changed).run()
    learner(tmp_path, units=HashedUnits(manifest, mirrored=never)).run()
