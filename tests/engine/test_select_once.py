"""A single selection is what a round of the loop would ask: same samples, labels, places, draws."""

import numpy as np
import pytest
from test_places import SharedUnits

from dense_al.engine import Learner, Rounds, RunStore
from dense_al.engine.once import select_once
from dense_al.oracles import GroundTruth
from dense_al.registry import ACQUISITIONS
from dense_al.structures import Budget, Manifest
from dense_al.testing.stub import GridUnits, StubTask

GRID = dict(type='Grid', size=4)
LABELLED = [1, 5]


def of_images(samples):
    names = [f'{i:03d}' for i in samples]
    return Manifest.of_images(names, names, [(16, 16)] * len(names))


def learner(work_dir, acquisition, units=GridUnits):
    task = StubTask(n_samples=12)
    task.manifest = of_images(range(8)).with_source(of_images(range(8, 12)))
    return Learner(
        task=task,
        units=units(task.manifest),
        acquisition=ACQUISITIONS.build(dict(acquisition, unit=GRID), 'acquisition'),
        initial=np.array(LABELLED),
        oracle=GroundTruth(),
        budget=Budget(7),
        initial_budget=Budget(1),
        rounds=Rounds(count=2, metric='mAcc'),
        store=RunStore(work_dir),
        seed=3,
        progress=False,
    )


@pytest.mark.parametrize(
    ('acquisition', 'units'),
    [
        (dict(type='Composed', sampler='KCenter'), GridUnits),
        (dict(type='Composed', sampler='KMeansPlusPlus', subset=0.5), GridUnits),
        (dict(type='Composed', score='Margin', weight='class'), GridUnits),
        (dict(type='Composed', score='Entropy'), SharedUnits),
        (dict(type='DensityAware', source_images=3, min_rows=4), GridUnits),
        (dict(type='DomainClassifier'), GridUnits),
    ],
    ids=lambda given: '-'.join(map(str, given.values())) if isinstance(given, dict) else '',
)
def test_it_asks_what_the_first_round_asks(tmp_path, acquisition, units):
    run = learner(tmp_path, acquisition, units)
    run.run()
    asked = run.store.query(0)
    again = learner(tmp_path / 'none', acquisition, units)
    names = [f'{i:03d}' for i in LABELLED]
    found = select_once(again, run.store.checkpoint(0), 7, names)
    assert found.table().equals(asked.table())
    assert not set(LABELLED) & set(found.sample.tolist()) and (found.sample < 8).all()


def test_random_needs_neither_checkpoint_nor_model(tmp_path):
    run = learner(tmp_path, dict(type='Composed', score='Random'))
    assert len(select_once(run, tmp_path / 'none.pth', 7)) == 7
    assert run.task.predicted == []


def test_views_and_dropout_are_others_in_each_round_and_run():
    from dense_al.acquisition import BoxUncertainty
    from dense_al.engine.select import options_of

    acquisition = BoxUncertainty('MCDropout')
    first, again, later, other = (
        options_of(acquisition, (), *run).seed for run in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert first == again and len({first, later, other}) == 3
