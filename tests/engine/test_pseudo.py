"""Labels of the model in the loop: trained on for one round, paid by nobody, resumed exactly."""

import numpy as np
import pytest

from dense_al.acquisition import Composed
from dense_al.engine import INITIAL, Learner, Rounds, RunStore
from dense_al.oracles import GroundTruth
from dense_al.structures import Budget, Pixels, Query
from dense_al.testing.stub import GridUnits, StubTask

GRID = dict(type='Grid', size=4)


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


class Surest(Composed):
    """Asks about the least sure cells; the model labels those that it is surest of."""

    most = 6

    def pseudo(self, rows, query, given):
        closed = given.ledger.asked(self.kind, rows) | rows.among(query.keys)
        closed |= given.ledger.by_model(self.kind, rows, given.round_number)
        order = np.argsort(rows.score, kind='stable')
        return Query.of_rows(self.kind, rows.take(order[~closed[order]][: self.most]))


class Greedy(Surest):
    """Nearly half of the pool, so that it has to come back to what it took before."""

    most = 55


def learner(work_dir, on_phase=None, acquisition=Surest):
    task = StubTask()
    return Learner(
        task=task, units=GridUnits(task.manifest),
        acquisition=acquisition(unit=GRID, score='Entropy'),
        initial=Composed(unit=GRID, score='Random'), oracle=GroundTruth(noise=0.1, decline=0.1),
        budget=Budget(5), initial_budget=Budget(4),
        rounds=Rounds(count=4, metric='mAcc', start='previous'),
        store=RunStore(work_dir, on_phase), seed=3, progress=False,
    )  # fmt: skip


def record(work_dir):
    """Everything a run decided."""
    store, found = RunStore(work_dir), []
    for r in range(INITIAL, 4):
        if r < 3:
            pseudo = store.pseudo(r)
            found += [store.query(r).table().to_pylist(), store.answers(r)]
            found.append(None if pseudo is None else pseudo.table().to_pylist())
        if r >= 0:
            found += [store.read(r, 'train')['labelled'], store.checkpoint(r).read_bytes()]
    return found


def keys(rows):
    return set(zip(rows.sample.tolist(), rows.unit.tolist()))


def test_they_are_what_the_model_says_and_cost_nothing(tmp_path):
    run = learner(tmp_path)
    run.run()
    store = RunStore(tmp_path)
    for r in range(3):
        pseudo, answers = store.pseudo(r), store.answers(r)
        found = [a for a in answers if a.source == 'model']
        assert {(a.sample, a.unit) for a in found} == keys(pseudo) and len(found) == 6
        assert len(answers) == 11 and not keys(pseudo) & keys(store.query(r))
        for answer in found:
            assert (answer.clicks, answer.seconds, answer.expires_round) == (0, 0, r + 1)
            predicted = next(run.task.predict(store.checkpoint(r), [answer.sample], frozenset()))
            inside = run.units.map(answer.sample) == answer.unit
            assert (Pixels.decode(answer.payload).labels == predicted.labels[inside]).all()
        commit = store.read(r, 'round')
        assert commit['answered'] + commit['declined'] == 5 and commit['pseudo_labels'] == 6
        assert sum(commit['class_histogram'].values()) <= 5 * 16
    assert store.pseudo(INITIAL) is None


def test_they_count_nowhere_as_labelled_by_people(tmp_path):
    learner(tmp_path / 'with').run()
    store = RunStore(tmp_path / 'with')
    for r in range(4):
        labelled = store.read(r, 'train')['labelled']
        assert labelled['units'] == 4 + 5 * r
        declined = sum(a.status == 'declined' for k in range(-1, r) for a in store.answers(k))
        assert labelled['elements'] == 16 * (4 + 5 * r - declined)


def test_they_are_trained_on_in_one_round_alone(tmp_path):
    learner(tmp_path).run()
    store = RunStore(tmp_path)
    for r in range(4):
        train = store.read(r, 'train')
        more = 6 * 16 if r else 0
        seen = round(train['metrics']['labelled'] * 8 * 256)
        assert seen == train['labelled']['elements'] + more


def test_a_unit_rests_for_a_round_and_is_then_free(tmp_path):
    learner(tmp_path, acquisition=Greedy).run()
    store = RunStore(tmp_path)
    chosen = [keys(store.pseudo(r)) for r in range(3)]
    assert not chosen[0] & chosen[1] and not chosen[1] & chosen[2]
    assert chosen[0] & chosen[2]


def test_without_them_nothing_changes(tmp_path):
    learner(tmp_path, acquisition=Composed).run()
    assert not list(tmp_path.rglob('pseudo.parquet'))
    assert RunStore(tmp_path).read(0, 'round')['pseudo_labels'] == 0


def test_killed_anywhere_a_run_goes_on_as_if_it_had_not_been(tmp_path):
    names: list[str] = []
    learner(tmp_path / 'whole', names.append).run()
    expected = record(tmp_path / 'whole')
    assert '0:query:pseudo' in names
    for i, name in enumerate(names):
        if not name.startswith(('0:query:p', '0:round', '1:train:c')):
            continue

        def kill(reached, name=name):
            if reached == name:
                raise Killed

        with pytest.raises(Killed):
            learner(tmp_path / str(i), kill).run()
        learner(tmp_path / str(i)).run()
        assert record(tmp_path / str(i)) == expected, name
