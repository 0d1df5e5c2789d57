"""Budgets in clicks and seconds where objects are drawn: the price is known only afterwards."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dense_al.acquisition import BoxUncertainty, Composed, ImageTags, Selection
from dense_al.adapters.task import TrainResult
from dense_al.engine import INITIAL, Learner, Rounds, RunStore
from dense_al.engine.plan import plan
from dense_al.oracles import Files, GroundTruth, WaitingForAnswers
from dense_al.pool import Ledger, WholeImages
from dense_al.registry import ConfigError
from dense_al.structures import (
    ANSWERED,
    DECLINED,
    Answer,
    Boxes,
    Budget,
    DetPrediction,
    ElementRows,
    Manifest,
)
from dense_al.testing.stub import StubTask

EACH = 1 + 7 * 7  # seconds of an image with seven objects
IMAGE = Composed(unit={'type': 'Image'}, score='Random')


class Detector(StubTask):
    """Images with seven objects each, of which the model finds `found`."""

    form = 'boxes'
    found = 2

    def train(self, job):
        job.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        job.checkpoint.write_bytes(b'weights')
        return TrainResult({'mAP': 0.5}, {}, 0.0, 0.0)

    def predict(self, checkpoint, samples, needs, options=None, ledger=None):
        for sample in samples:
            yield DetPrediction(
                sample=int(sample),
                boxes=np.tile(np.float32([0, 0, 4, 4]), (self.found, 1)),
                probs=np.full((self.found, 4), 0.25, np.float32),
                background=np.zeros(self.found, np.float32),
                scores=np.full(self.found, 0.9, np.float32),
                labels=np.zeros(self.found, np.int64),
            )

    def read_label(self, sample):
        return Boxes(np.tile([0, 0, 4, 4], (7, 1)), np.arange(7) % 4)


def learner(work_dir, budget, acquisition=None, n=40, task=None, **changes):
    task = task or Detector(n_samples=n)
    parts = dict(
        task=task,
        units=WholeImages(task.manifest),
        acquisition=acquisition or BoxUncertainty(),
        initial=IMAGE,
        oracle=GroundTruth(),
        budget=budget,
        initial_budget=budget,
        rounds=Rounds(count=3, metric='mAP'),
        store=RunStore(work_dir),
        progress=False,
    )
    return Learner(**{**parts, **changes})


@pytest.mark.parametrize('found', [0, 2, 30])
@pytest.mark.parametrize(
    ('unit', 'amount', 'each'), [('seconds', 120, EACH), ('clicks', 100, 28), ('clicks', 84, 28)]
)
def test_a_round_goes_beyond_its_budget_by_one_image_at_most(
    tmp_path, unit, amount, each, found, monkeypatch
):
    monkeypatch.setattr(Detector, 'found', found)
    learner(tmp_path, Budget(amount, unit), BoxUncertainty(max_boxes=30)).run()
    store = RunStore(tmp_path)
    for r in (INITIAL, 0, 1):
        commit = store.read(r, 'round')
        assert commit['cost'][unit] < amount + each and commit['answered'] > 0
        if r >= 0 and found <= 7:
            assert commit['cost'][unit] >= amount  # used up, as no more was expected than is there
        if r >= 0 and found == 30:
            assert commit['answered'] == 1


def test_what_was_not_reached_stays_in_the_pool(tmp_path):
    learner(tmp_path, Budget(120, 'seconds')).run()
    store = RunStore(tmp_path)
    asked, ledger = store.query(0), store.ledger(before=1)
    reached = store.asked(0)
    assert 0 < len(reached) < len(asked)  # two objects were predicted in each, there are seven
    assert reached.sample.tolist() == asked.sample[: len(reached)].tolist()
    rows = ElementRows.of_sample(0, np.zeros(1), np.ones(1))
    for sample in asked.sample[len(reached) :]:
        assert not ledger.asked('image', replace(rows, sample=np.array([sample]))).any()
    answered = [a.sample for r in (INITIAL, 0, 1) for a in store.answers(r)]
    assert len(set(answered)) == len(answered)


def test_declined_images_are_forgotten_where_they_may_be_asked_again(tmp_path):
    run = learner(tmp_path, Budget(6), oracle=GroundTruth(decline=0.5))
    run.run()
    store = RunStore(tmp_path)
    declined = {a.sample for a in store.answers(0) if a.status == DECLINED}
    assert declined and len(store.asked(0)) == 6
    assert set(store.asked(0, declined_again=True).sample) == set(store.query(0).sample) - declined


def given(budget, ledger, prices):
    return Selection(ledger, budget, 40 * 256, prices, np.random.default_rng(0), n_classes=4)


def test_images_answered_so_far_tell_what_the_others_will_take(tmp_path):
    run = learner(tmp_path, Budget(500, 'seconds'))
    rows = ElementRows.concatenate([IMAGE.observe(None, s, run.units) for s in range(40)])
    spend = given(run.budget, Ledger(), run.prices).spend('image', rows)
    assert spend == pytest.approx(1 + 7 * 7.7)  # as in COCO
    drawn = Boxes(np.tile([0, 0, 4, 4], (3, 1)), np.zeros(3)).encode()
    none = Boxes(np.zeros((0, 4)), np.zeros(0)).encode()
    answers = [
        Answer(s, -1, 0, 'image', ANSWERED, 'x', 1, 0, 0, 0, -1, payload)
        for s, payload in enumerate((drawn, none))
    ]
    spend = given(run.budget, Ledger([answers]), run.prices).spend('image', rows)
    assert spend == pytest.approx(1 + 7 * 1.5)
    own = replace(rows, objects=np.full(40, np.nan))
    own.objects[3] = 5
    spend = given(run.budget, Ledger([answers]), run.prices).spend('image', own)
    assert spend[3] == 36 and spend[4] == pytest.approx(11.5)


def test_points_in_the_place_of_masks_are_part_of_the_price(tmp_path):
    task = Detector()
    task.form = 'masks'
    run = learner(tmp_path, Budget(1, 'seconds'), task=task, oracle=GroundTruth(points=2))
    clicks, seconds = run.prices('image', np.ones(1), np.zeros(1, np.int64), 3.0)
    assert clicks == 3 * (4 + 2) and seconds == pytest.approx(1 + 3 * (7 + 2 * 0.9))


def test_the_plan_counts_with_objects_and_refuses_nothing_for_them(tmp_path):
    text = plan(learner(tmp_path, Budget(600, 'seconds'), n=500))
    assert f'asking for about {100 * 3 * 600 / (500 * 54.9):.3g} % of the pool' in text
    assert 'cost      about 1,800 s' in text and 'if an image has 7.7 objects' in text
    assert 'about 3.9 % of the pool' in plan(learner(tmp_path, Budget(200, 'clicks'), n=500))
    assert 'about 100 % of the pool' in plan(learner(tmp_path, Budget(1e6, 'clicks'), n=500))
    free = GroundTruth(prices={'boxes': {'object_clicks': 0}})
    text = plan(learner(tmp_path, Budget(200, 'clicks'), oracle=free))
    assert 'asking for an unknown share of the pool' in text
    tags = plan(learner(tmp_path, Budget(35, 'clicks'), initial=ImageTags()))
    assert 'the tags of 25 %' in tags and 'and 3.5 tags' in tags
    with pytest.raises(ConfigError, match='at most the pool'):
        plan(learner(tmp_path, Budget(20)))


def test_people_go_on_when_the_budget_is_used_up(tmp_path):
    task, names = Detector(), [f'{i:03d}' for i in range(8)]
    for name in names:
        Image.new('RGB', (16, 16)).save(tmp_path / f'{name}.png')
    paths = [str(tmp_path / f'{name}.png') for name in names]
    task.manifest = Manifest.of_images(names, paths, [(16, 16)] * 8)
    run = learner(tmp_path, Budget(200, 'seconds'), oracle=Files(), task=task)
    folder = tmp_path / 'initial/labels'
    with pytest.raises(WaitingForAnswers):
        run.label_initially()
    query = run.store.query(INITIAL)
    assert len(query) == 3  # of 54.9 s each
    boxes = {'boxes': [[0, 0, 4, 4]] * 15, 'labels': ['earth'] * 15}
    (folder / f'{query.sample[0]:03d}.json').write_text(json.dumps(boxes))
    with pytest.raises(WaitingForAnswers, match='1 of 3'):
        run.label_initially()  # 106 of 200 s
    (folder / f'{query.sample[2]:03d}.json').write_text(json.dumps(boxes))
    run.label_initially()
    assert [a.sample for a in run.store.answers(INITIAL)] == query.sample[[0, 2]].tolist()
