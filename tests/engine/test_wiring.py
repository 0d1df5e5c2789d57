"""What the loop hands to its parts: weights, streams, budgets, what was asked before."""

from dataclasses import replace

import numpy as np
import pytest
from test_learner import learner
from test_priced_rounds import learner as detector

from dense_al.acquisition import Composed
from dense_al.engine import INITIAL, Rounds, RunStore
from dense_al.engine import environment as environment_module
from dense_al.engine import store as store_module
from dense_al.engine.observe import observe
from dense_al.engine.plan import estimate_pool, plan
from dense_al.oracles import GroundTruth
from dense_al.pool import Ledger
from dense_al.structures import Answer, Budget, ElementRows
from dense_al.testing.stub import StubTask


class Seen(StubTask):
    """Remembers what rounds start from."""

    def __init__(self, **given):
        super().__init__(**given)
        self.jobs = []

    def train(self, job):
        self.jobs.append((job.load_from, job.seed))
        return super().train(job)


@pytest.mark.parametrize(
    ('start', 'wanted'),
    [('scratch', [None] * 3), ('initial', [None, 0, 0]), ('previous', [None, 0, 1])],
)
def test_rounds_start_where_the_config_says(tmp_path, start, wanted):
    task = Seen()
    rounds = Rounds(count=3, metric='mAcc', start=start)
    learner(tmp_path, task=task, rounds=rounds).run()
    at = RunStore(tmp_path).checkpoint
    assert [loaded for loaded, _ in task.jobs] == [None if w is None else at(w) for w in wanted]
    assert len({seed for _, seed in task.jobs}) == 3


def test_each_round_has_streams_of_its_own(tmp_path):
    learner(tmp_path, score='Random', oracle=GroundTruth(decline=0.5), budget=Budget(9)).run()
    store = RunStore(tmp_path)
    declined = [[a.status for a in store.answers(r)] for r in range(3)]
    assert not declined[0] == declined[1] == declined[2]
    asked = [[a.key[0] for a in store.answers(r)] for r in range(3)]
    assert not asked[0] == asked[1] == asked[2]


@pytest.mark.parametrize('again', [True, False])
def test_declined_units_come_again_where_they_may(tmp_path, again):
    oracle = GroundTruth(decline=0.5, ask_declined_again=again)
    learner(tmp_path, oracle=oracle, budget=Budget(60)).run()
    store = RunStore(tmp_path)
    declined = {a.key for r in (INITIAL, 0) for a in store.answers(r) if a.status == 'declined'}
    assert bool(declined & {a.key for r in (1, 2) for a in store.answers(r)}) == again


@pytest.mark.parametrize('again', [True, False])
def test_an_acquisition_forgets_what_it_may_ask_again(tmp_path, again):
    class Recalls(Composed):
        def recall(self, queries):
            recalled.append([set(q.sample.tolist()) for q in queries])
            return super().recall(queries)

    recalled = []
    acquisition = Recalls(unit=dict(type='Image'), score='Random')
    detector(
        tmp_path, Budget(6), acquisition, oracle=GroundTruth(decline=0.5, ask_declined_again=again)
    ).run()
    store = RunStore(tmp_path)
    first = store.answers(INITIAL)
    declined = {a.sample for a in first if a.status == 'declined'}
    assert declined and recalled[-1][0] == {a.sample for a in first} - (
        declined if again else set()
    )


def test_a_run_that_stops_at_its_start_asks_nothing(tmp_path):
    learner(tmp_path).run(stop_after=(0, 'train'))
    assert RunStore(tmp_path).read(0, 'query') is None


def test_initial_labels_have_a_budget_of_their_own(tmp_path):
    run = learner(tmp_path, initial_budget=Budget(20, 'percent'), budget=Budget(5, 'percent'))
    assert 'asking for about 35 % of the pool' in plan(run)
    run.run()
    store = RunStore(tmp_path)
    assert store.read(INITIAL, 'query')['budget'] == dict(per_round=20, unit='percent')
    assert store.read(0, 'query')['budget'] == dict(per_round=5, unit='percent')
    assert store.read(0, 'train')['labelled']['units'] == 25  # of 128


def test_the_plan_scales_what_it_sampled(tmp_path):
    run = learner(tmp_path, task=StubTask(n_samples=40))
    found = estimate_pool(run, run.acquisition, exact=False)
    assert not found.exact and found.units == pytest.approx(40 * 16)
    assert found.seconds == pytest.approx(estimate_pool(run, run.acquisition, exact=True).seconds)


def test_the_share_labelled_is_one_of_the_pool(tmp_path):
    task = StubTask()
    task.manifest = task.manifest.with_source(StubTask(n_samples=3, seed=1).manifest)
    task.labels = np.concatenate([task.labels, task.labels[:3]])
    task.features = np.concatenate([task.features, task.features[:3]])
    learner(tmp_path, task=task, oracle=GroundTruth()).run()
    labelled = RunStore(tmp_path).read(3, 'train')['labelled']
    assert labelled['elements'] == 19 * 16
    assert labelled['fraction'] == pytest.approx(19 * 16 / (8 * 256))


def test_tags_have_no_points(tmp_path):
    run = detector(tmp_path, Budget(1, 'seconds'), oracle=GroundTruth(points=2))
    clicks, seconds = run.prices('tags', np.ones(1), np.zeros(1, np.int64), 3.0)
    assert (clicks, seconds) == (3, 3)


def test_expired_labels_of_a_model_are_not_labelled():
    pseudo = Answer(4, -1, 0, 'region', 'answered', 'model', 1, 0, 0, 0, 1, b'x')
    ledger = Ledger([[pseudo]])
    assert ledger.labelled_samples(1).tolist() == [4] and ledger.labelled_samples(2).tolist() == []


def test_regions_of_the_initial_labels_must_stay_too(tmp_path):
    run = learner(tmp_path, rounds=Rounds(count=1, metric='mAcc'))
    run.units.digest = lambda sample: f'map of {sample}'
    run.run()
    sample = next(iter(run.store.maps(INITIAL)))
    run.units.digest = lambda other: 'another' if other == sample else f'map of {other}'
    with pytest.raises(ValueError, match='Expected the regions of'):
        run.run()


def test_a_start_that_is_taken_over_in_part_does_not_count(tmp_path, monkeypatch):
    learner(tmp_path / 'a').run(stop_after=(0, 'train'))
    link, there = store_module._link, RunStore(tmp_path / 'a')
    for cut in range(9):
        store, count = RunStore(tmp_path / f'{cut}'), iter(range(99))
        store.save_manifest(there.manifest())
        (store.folder(0)).mkdir(parents=True)
        (store.folder(0) / '.train.json.tmp').write_text('of a process that was killed')

        def killed(source, target, count=count, cut=cut):
            if next(count) == cut:
                raise KeyboardInterrupt
            link(source, target)

        monkeypatch.setattr(store_module, '_link', killed)
        try:
            store.take_over_start(there)
        except KeyboardInterrupt:
            assert store.read(0, 'train') is None or store.checkpoint(0).exists()
            assert store.read(INITIAL, 'round') is None or store.answers(INITIAL)
        else:
            assert store.read(0, 'train') == there.read(0, 'train')
            break
    assert 5 < cut < 9


def test_what_a_start_follows_from():
    settings = {'rounds.iterations.0': 9, 'rounds.iterations.1': 5, 'model.depth': 50}
    found = {key: 1 for key in environment_module.FIXED}

    def key(initial=(), seed=1, **changes):
        config = {**settings, **{k.replace('__', '.'): v for k, v in changes.items()}}
        return environment_module._start_key({**found, 'seed': seed, 'config': config}, initial)

    assert key() == key(rounds__iterations__1=7)
    others = [key(rounds__iterations__0=7), key(seed=2), key(model__depth=18), key(initial=['a'])]
    assert len({key(), *others}) == 5


class Neighbours(Composed):
    """A sample scores what it and the samples beside it score; known when all were seen."""

    halo = 1

    def __init__(self):
        super().__init__(unit=dict(type='Image'), score='Entropy')
        self.seen = []

    def observe(self, prediction, sample, units):
        rows = super().observe(prediction, sample, units)
        self.seen.append(rows)
        return rows.take(np.zeros(0, np.int64))

    def flush(self):
        score = np.array([rows.score[0] for rows in self.seen])
        padded = np.pad(score, 1)
        around = padded[:-2] + padded[1:-1] + padded[2:]
        return replace(ElementRows.concatenate(self.seen), score=around)


def test_processes_see_beyond_their_shares_and_give_their_own_rows(tmp_path, monkeypatch):
    learner(tmp_path).run(stop_after=(0, 'train'))
    run, checkpoint = learner(tmp_path), RunStore(tmp_path).checkpoint(0)

    def rows(world):
        monkeypatch.setattr('dense_al.engine.distribution.world', lambda: world)
        monkeypatch.setattr('dense_al.engine.observe.world', lambda: world)
        monkeypatch.setattr('dense_al.engine.observe.gather', lambda part: [part])
        acquisition, samples = Neighbours(), np.array([0, 1, 2, 4, 5, 6, 7])
        found, _ = observe(
            run.task, acquisition, run.units, samples, checkpoint, Ledger(), None, False
        )
        return found

    whole, parts = rows((0, 1)), [rows((rank, 3)) for rank in range(3)]
    assert [part.sample.tolist() for part in parts] == [[0, 1, 2], [4, 5], [6, 7]]
    assert whole.sample.tolist() == [0, 1, 2, 4, 5, 6, 7]
    together = ElementRows.concatenate(parts)
    np.testing.assert_allclose(together.score, whole.score)
    assert len(np.unique(whole.score)) == 7
