"""Places that several frames see: asked once, answered in all of them, billed once."""

import numpy as np
import pytest

from dense_al.acquisition import Composed
from dense_al.engine import Learner, Rounds, RunStore
from dense_al.engine.places import billed_once, places_of
from dense_al.oracles import GroundTruth
from dense_al.structures import Answer, Budget, ElementRows, Manifest
from dense_al.testing.stub import GridUnits, StubTask

GRID = dict(type='Grid', size=4)


class SharedUnits(GridUnits):
    """The cells of samples of one sequence are the same places, if their column is even."""

    def __init__(self, manifest):
        super().__init__(manifest)
        n = len(manifest)
        sequences = tuple(f'{s // 4}' for s in range(n))
        self.manifest = Manifest(
            manifest.names, manifest.paths, manifest.heights, manifest.widths, manifest.domains,
            sequences, np.arange(n) % 4,
        )  # fmt: skip

    def groups(self, sample):
        cell = np.arange(len(self.sizes(sample)))
        return np.stack([cell, np.where(cell % 2, sample, -1)], axis=1)


def rows(samples=8, features=False):
    rng = np.random.default_rng(0)
    parts = []
    for sample in range(samples):
        more = rng.normal(size=(16, 2)) if features else None
        size = rng.integers(1, 9, 16)
        parts.append(ElementRows.of_sample(sample, rng.random(16), size, features=more))
    return ElementRows.concatenate(parts)


@pytest.fixture
def units():
    return SharedUnits(StubTask().manifest)


def test_one_row_for_each_place(units):
    found = rows(features=True)
    places = places_of(found, units, 'region', np.zeros(len(found), bool))
    # Of the 16 cells 8 are shared by the 4 samples of each of 2 sequences.
    assert len(places.rows) == 2 * (8 + 8 * 4)
    assert sorted(np.concatenate(places.members).tolist()) == list(range(len(found)))
    for i, members in enumerate(places.members):
        assert len({found.unit[m] for m in members}) == 1
        weights = found.size[members] / found.size[members].sum()
        assert places.rows.score[i] == pytest.approx((found.score[members] * weights).sum())
        expected = (found.features[members] * weights[:, None]).sum(0)
        assert places.rows.features[i] == pytest.approx(expected, rel=1e-5)
        assert places.rows.size[i] == found.size[members].max()
        assert places.rows.sample[i] == found.sample[members[0]]
    assert {len(m) for m in places.members} == {1, 4}


def test_what_was_asked_is_kept_apart(units):
    found = rows()
    asked = found.sample == 1
    places = places_of(found, units, 'region', asked)
    for members in places.members:
        assert asked[members].all() or not asked[members].any()


def test_units_of_single_samples_stay_as_they_are():
    found = rows()
    plain = GridUnits(StubTask().manifest)
    assert places_of(found, plain, 'region', np.zeros(len(found), bool)).rows is found
    shared = SharedUnits(StubTask().manifest)
    assert places_of(found, shared, 'image', np.zeros(len(found), bool)).rows is found


def test_the_first_answer_of_a_place_is_billed(units):
    def answer(sample, unit, kind='region'):
        return Answer(sample, -1, unit, kind, 'answered', 'x', 4, 0, 2.0, 3.0, -1, b'')

    given = [
        answer(2, 4),
        answer(0, 4),
        answer(5, 4),
        answer(0, 5),
        answer(1, 5),
        answer(0, 0, 'image'),
    ]
    found = billed_once(given, units)
    assert [a.seconds for a in found] == [3, 0, 3, 3, 3, 3]
    assert [a.clicks for a in found] == [2, 0, 2, 2, 2, 2]
    assert [a.key for a in found] == [a.key for a in given]


def test_a_run_asks_about_places(tmp_path, units):
    run = Learner(
        task=StubTask(), units=units, acquisition=Composed(unit=GRID, score='Entropy'),
        initial=Composed(unit=GRID, score='Random'), oracle=GroundTruth(), budget=Budget(5),
        initial_budget=Budget(4), rounds=Rounds(count=3, metric='mAcc'),
        store=RunStore(tmp_path), progress=False,
    )  # fmt: skip
    run.run()
    store, seen = RunStore(tmp_path), set()
    for r in (-1, 0, 1):
        query = store.query(r)
        keys = list(zip((query.sample // 4).tolist(), query.unit.tolist(), query.sample.tolist()))
        places = {(s, u) if u % 2 == 0 else (s, u, sample) for s, u, sample in keys}
        assert len(places) == (4 if r < 0 else 5)
        for s, u, _ in keys:
            if u % 2 == 0:
                assert {sample for a, b, sample in keys if (a, b) == (s, u)} == {
                    4 * s, 4 * s + 1, 4 * s + 2, 4 * s + 3}  # fmt: skip
        assert not places & seen
        seen |= places
        paid = [a for a in store.answers(r) if a.seconds > 0]
        assert len(paid) == len(places)
    labelled = store.read(2, 'train')['labelled']
    assert labelled['elements'] == 16 * sum(len(store.query(r)) for r in (-1, 0, 1))


@pytest.mark.parametrize('again', [False, True])
def test_a_place_is_declined_and_mistaken_as_a_whole(tmp_path, units, again):
    oracle = GroundTruth(decline=0.4, noise=0.5, ask_declined_again=again)
    run = Learner(
        task=StubTask(), units=units, acquisition=Composed(unit=GRID, score='Random'),
        initial=Composed(unit=GRID, score='Random'), oracle=oracle, budget=Budget(8),
        initial_budget=Budget(8), rounds=Rounds(count=3, metric='mAcc'),
        store=RunStore(tmp_path), progress=False,
    )  # fmt: skip
    run.run()
    said, mistakes = {}, 0  # of the places that several samples see, in one round
    for r in (-1, 0, 1):
        for a in RunStore(tmp_path).answers(r):
            if a.unit % 2:
                continue
            place = r, a.sample // 4, a.unit
            said.setdefault((*place, 'status'), set()).add(a.status)
            if a.status == 'answered':
                true = run.task.labels[a.sample].ravel()[units.map(a.sample).ravel() == a.unit]
                for wanted, given in zip(true.tolist(), a.label.labels.tolist()):
                    said.setdefault((*place, wanted), set()).add(given)
                    mistakes += wanted != given
    assert all(len(same) == 1 for same in said.values()) and mistakes
    statuses = [same for key, same in said.items() if key[-1] == 'status']
    assert {'answered'} in statuses and {'declined'} in statuses
