"""Single pixels: the contract, the published choices written out, and runs of the loop."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dense_al.acquisition import PixelUncertainty, Selection, rng_for
from dense_al.acquisition import functional as F
from dense_al.engine import INITIAL, Learner, Rounds, RunStore
from dense_al.oracles import GroundTruth
from dense_al.pool import Ledger, Prices
from dense_al.registry import ACQUISITIONS, ConfigError
from dense_al.structures import Budget, ElementRows, Manifest, Query, SegPrediction
from dense_al.testing.contract import AcquisitionContract
from dense_al.testing.stub import GridUnits, StubTask

EVERY = dict(per_image=256)  # all pixels of the contract's images


class TestPixelEntropy(AcquisitionContract):
    def acquisition(self):
        return PixelUncertainty(**EVERY)


class TestPixelRandom(AcquisitionContract):
    def acquisition(self):
        return PixelUncertainty(score='Random', **EVERY)


class TestPixelsOfAllImages(AcquisitionContract):
    def acquisition(self):
        return PixelUncertainty(score='LeastConfidence', per_image=None, candidates=256)


class TestPixelPick(AcquisitionContract):
    def acquisition(self):
        return PixelUncertainty(score='Margin', top=1.0, **EVERY)


class TestPixelRIPU(AcquisitionContract):
    def acquisition(self):
        return PixelUncertainty(score=dict(type='RIPU', radius=2, uncertainty_radius=0), **EVERY)


SIZE = (12, 20)
UNITS = GridUnits(Manifest.of_images(list('abcdefgh'), list('abcdefgh'), [SIZE] * 8))


def probs_of(sample=0, size=SIZE):
    """(C, H, W) probabilities."""
    rng = np.random.default_rng(sample)
    return np.moveaxis(rng.dirichlet(np.full(4, 0.5), size), -1, 0).astype(np.float32)


def observed(acquisition, sample=0, probs=None):
    """What an acquisition sees of an image, with a prediction where it needs one."""
    probs = probs_of(sample) if probs is None else probs
    prediction = SegPrediction(sample, torch.from_numpy(probs)) if acquisition.needs else None
    return acquisition.observe(prediction, sample, UNITS)


def offered(acquisition, sample=0, probs=None, seed=None):
    """(K,) units that an image offers."""
    if seed is not None:
        acquisition.samples(np.arange(8), np.random.default_rng(seed))
    return observed(acquisition, sample, probs).unit


def given(ledger=None, budget=None, seed=0):
    prices = Prices()
    return Selection(
        ledger=ledger or Ledger(),
        budget=budget or Budget(1000),
        pool_elements=8 * 240,
        prices=lambda kind, size, sample, objects=0.0: prices.of('pixel', size, size),
        rng=np.random.default_rng(seed),
        n_classes=4,
    )  # fmt: skip


def query_of(units, sample=0):
    rows = ElementRows.of_sample(sample, np.zeros(len(units)), np.ones(len(units)))
    return Query.of_rows('point', replace(rows, unit=np.array(units, np.int64)))


def test_the_best_pixels_of_each_image():
    probs = probs_of()
    for score, function in dict(
        Entropy=F.entropy, Margin=F.margin, LeastConfidence=F.least_confidence
    ).items():
        units = offered(PixelUncertainty(score, per_image=7))
        best = np.argsort(-function(probs, axis=0).ravel())[:7]
        assert units.tolist() == best.tolist()


def test_ripu_pixels_written_out():
    """Impurity of the window x entropy of the pixel, each choice blocking its window for good."""
    radius, width, probs = 2, SIZE[1], probs_of(3)
    labels = probs.argmax(0)
    score = np.zeros(SIZE)
    for y, x in np.ndindex(*SIZE):
        window = labels[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].ravel()
        shares = np.bincount(window, minlength=4) / len(window)
        impurity = -sum(p * math.log(p) for p in shares if p > 0)
        unsure = -sum(p * math.log(p) for p in probs[:, y, x].tolist() if p > 0)
        score[y, x] = impurity * unsure
    acquisition = PixelUncertainty(
        dict(type='RIPU', radius=radius, uncertainty_radius=0), per_image=3, min_distance=radius + 1
    )
    queries = []
    for _ in range(2):
        expected = []
        for _ in range(3):
            y, x = divmod(int(score.argmax()), width)
            expected.append(y * width + x)
            score[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = -np.inf
        acquisition.recall(queries)
        assert offered(acquisition, 3, probs).tolist() == expected
        queries.append(query_of(expected, 3))


def test_pixelpick_draws_among_the_best_with_equal_probability():
    probs = probs_of()
    best = np.argsort(-F.margin(probs, axis=0).ravel())[:24]  # a tenth of 240
    drawn = np.zeros(240, int)
    for seed in range(600):
        units = offered(PixelUncertainty('Margin', per_image=4, top=0.1), probs=probs, seed=seed)
        assert len(np.unique(units)) == 4
        drawn[units] += 1
    assert drawn.sum() == drawn[best].sum() == 2400
    # 600 draws of 4 of 24: 100 each, standard deviation 9.
    assert 60 < drawn[best].min() and drawn[best].max() < 140


def test_the_share_is_of_the_pixels_that_were_not_asked():
    probs = probs_of()
    order = np.argsort(-F.margin(probs, axis=0).ravel())
    acquisition = PixelUncertainty('Margin', per_image=20, top=0.05)
    acquisition.recall([query_of(order[:40])])
    # A twentieth of 200 pixels are 10, fewer than are asked: then the best ones.
    assert sorted(offered(acquisition, probs=probs)) == sorted(order[40:60].tolist())


def test_pixels_keep_their_distance_over_the_rounds():
    for top in (None, 0.5):
        acquisition = PixelUncertainty(per_image=4, min_distance=4, top=top)
        queries = []
        for _ in range(3):
            acquisition.recall(queries)
            queries.append(query_of(offered(acquisition)))
        y, x = np.divmod(np.concatenate([query.unit for query in queries]), SIZE[1])
        apart = np.maximum(abs(y[:, None] - y), abs(x[:, None] - x)) + 99 * np.eye(len(y))
        assert apart.min() >= 4 and len(y) > 6


def test_an_image_that_is_used_up_offers_nothing():
    acquisition = PixelUncertainty('Random', per_image=5)
    acquisition.recall([query_of(np.arange(237)), query_of(np.arange(240), sample=1)])
    assert sorted(offered(acquisition)) == [237, 238, 239]
    assert len(offered(acquisition, 1)) == 0
    acquisition = PixelUncertainty('Entropy', per_image=5, top=0.1)
    acquisition.recall([query_of(np.arange(240), sample=1)])
    assert len(offered(acquisition, 1)) == 0 and len(offered(acquisition, 2)) == 5


@pytest.mark.parametrize(
    'config', [dict(score='Random'), dict(score='Margin', top=0.2), dict(score='Entropy')]
)
def test_neither_order_nor_processes_matter(config):
    def rows(shards):
        parts = []
        for shard in shards:  # a process has its own acquisition, and the same stream
            acquisition = PixelUncertainty(**config)
            acquisition.samples(np.arange(8), rng_for(5, 2, 'subset'))
            acquisition.recall([query_of([3, 4]), query_of([7], sample=6)])
            for sample in shard:
                parts.append(observed(acquisition, sample))
        return acquisition.select(ElementRows.concatenate(parts), given(budget=Budget(33)))

    one = rows([range(8)]).table()
    assert one.num_rows == 33
    assert one == rows([[7, 2, 5, 0, 1, 3, 6, 4]]).table()
    assert one == rows([[4, 5, 6, 7], [0, 1, 2, 3]]).table()


def test_seeds_images_and_rounds_draw_differently():
    acquisition = PixelUncertainty('Random', per_image=6)
    one, other = offered(acquisition, seed=0), offered(acquisition, 1, seed=0)
    assert set(one) != set(other)
    assert set(one) == set(offered(acquisition, seed=0)) != set(offered(acquisition, seed=1))


def test_equal_scores_are_chosen_at_random():
    flat = np.full((4, *SIZE), 0.25, np.float32)
    units = offered(PixelUncertainty(per_image=20), probs=flat)
    y, x = np.divmod(units, SIZE[1])
    assert np.ptp(y) > 6 and np.ptp(x) > 10


def test_a_small_budget_takes_the_best_of_all_images_but_any_of_the_drawn():
    def picks(**config):
        acquisition = PixelUncertainty('Margin', per_image=8, **config)
        rows = ElementRows.concatenate([observed(acquisition, s) for s in range(8)])
        return rows.score, acquisition.select(rows, given(budget=Budget(10))).score

    score, best = picks()
    assert best.tolist() == sorted(score.tolist())[::-1][:10]
    score, some = picks(top=0.5)
    assert some.max() < score.max() or some.min() < np.sort(score)[-10]


def learner(work_dir, **changes):
    task = StubTask()
    parts = dict(
        task=task,
        units=GridUnits(task.manifest),
        acquisition=PixelUncertainty('Margin', per_image=3, top=0.2),
        initial=PixelUncertainty('Random', per_image=2),
        oracle=GroundTruth(noise=0.1, decline=0.2),
        budget=Budget(100, 'percent'),
        initial_budget=Budget(100, 'percent'),
        rounds=Rounds(count=4, metric='mAcc', start='previous'),
        store=RunStore(work_dir),
        seed=3,
        progress=False,
    )
    return Learner(**{**parts, **changes})


def queries(work_dir):
    return [RunStore(work_dir).query(r) for r in range(INITIAL, 3)]


@pytest.mark.parametrize('score', ['Margin', 'Random'])
def test_a_run_asks_each_pixel_once_and_as_many_of_each_image(tmp_path, score):
    acquisition = PixelUncertainty(score, per_image=3)
    learner(tmp_path, acquisition=acquisition).run()
    found = queries(tmp_path)
    assert [q.kind for q in found] == ['point'] * 4
    assert [np.bincount(q.sample).tolist() for q in found] == [[2] * 8] + [[3] * 8] * 3
    keys = {key for q in found for key in zip(q.sample.tolist(), q.unit.tolist())}
    assert len(keys) == 8 * 11
    train = RunStore(tmp_path).read(3, 'train')
    assert train['labelled']['clicks'] == train['labelled']['units'] == 88
    answers = [a for r in range(INITIAL, 3) for a in RunStore(tmp_path).answers(r)]
    declined = sum(answer.status == 'declined' for answer in answers)
    assert declined > 0 and train['metrics']['labelled'] == (88 - declined) / (8 * 256)


def test_a_stopped_run_goes_on_with_the_same_draws(tmp_path):
    learner(tmp_path / 'whole').run()
    learner(tmp_path / 'cut').run(stop_after=(1, 'train'))
    learner(tmp_path / 'cut').run()
    whole, cut = queries(tmp_path / 'whole'), queries(tmp_path / 'cut')
    assert [q.table() for q in whole] == [q.table() for q in cut]
    learner(tmp_path / 'other', seed=4).run()
    assert queries(tmp_path / 'other')[2].table() != whole[2].table()


@pytest.mark.parametrize('budget', [Budget(10), Budget(10, 'clicks'), Budget(10.5, 'seconds'),
                                    Budget(10, 'pixels')])  # fmt: skip
def test_budgets_count_pixels(tmp_path, budget):
    learner(tmp_path, budget=budget).run()
    assert [len(q) for q in queries(tmp_path)[1:]] == [10, 10, 10]


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(per_image=0), r'`acquisition.per_image`.*at least 1, but got 0'),
        (dict(candidates=2.5), r'`acquisition.candidates`.*but got 2.5'),
        (dict(min_distance=0), r'`acquisition.min_distance`.*but got 0'),
        (dict(top=1.5), r'`acquisition.top` in \(0, 1\], but got 1.5'),
        (dict(score='Entropie'), r'Unknown score `Entropie`.*`Entropy`'),
        (
            dict(score=dict(type='RIPU', uncertainty_radius=-1)),
            r'`uncertainty_radius`.*at least 0, but got -1',
        ),
    ],
)
def test_mistakes_in_the_config_name_the_field(change, message):
    with pytest.raises(ConfigError, match=message):
        ACQUISITIONS.build(dict(type='PixelUncertainty', **change), 'acquisition')
