"""D2ADA: what the source lacks first, what is uncertain later."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dense_al.acquisition import NothingLeftError, Selection
from dense_al.pool import Ledger, Prices
from dense_al.registry import ACQUISITIONS, ConfigError
from dense_al.structures import Answer, Budget, ElementRows, Manifest, SegPrediction
from dense_al.testing.stub import GridUnits

GRID = dict(type='Grid', size=4)
POOL, PER = 40, 8  # target samples 0 to 39, source samples from 40 on


def build(**given):
    return ACQUISITIONS.build(dict(type='DensityAware', unit=GRID, **given), 'acquisition')


def rows(shift=6.0, seed=0):
    """Two classes; a tenth of the target of class 1 lies where the source has nothing."""
    rng = np.random.default_rng(seed)
    n = 2 * POOL * PER
    sample = np.repeat(np.arange(2 * POOL), PER)
    category = np.tile([0, 1], n // 2)
    features = rng.normal(size=(n, 3)) + 4 * category[:, None]
    new = (category == 1) & (sample < POOL) & (np.arange(n) % 20 == 1)
    features[new] += shift
    found = ElementRows(
        sample=sample,
        instance=np.full(n, -1),
        unit=np.tile(np.arange(PER), 2 * POOL),
        score=rng.random(n),
        size=np.full(n, 16),
        category=category,
        features=features.astype(np.float32),
    )
    return found, new


def given(round_number=0, budget=16, ledger=None, seed=0):
    prices = Prices()
    return Selection(
        ledger=ledger or Ledger(),
        budget=Budget(budget),
        pool_elements=POOL * PER * 16,
        prices=lambda kind, size, sample, objects=0.0: prices.of(
            kind, size, np.full(len(size), 128), objects
        ),
        rng=np.random.default_rng(seed),
        n_classes=2,
        n_pool=POOL,
        round_number=round_number,
    )


def keys(query):
    return list(zip(query.sample.tolist(), query.unit.tolist()))


def test_the_first_round_asks_what_the_source_lacks():
    table, new = rows()
    wanted = set(zip(table.sample[new].tolist(), table.unit[new].tolist()))
    # The classes take turns: the class with the new mode gets at least every second pick.
    found = keys(build().select(table, given()))
    assert len(found) == 16
    ones = [k for k in found if k[1] % 2 == 1]
    assert len(ones) >= 8 and set(ones[:8]) <= wanted


def test_the_share_of_the_density_falls_by_half_each_round():
    table, _ = rows()
    by_score = [k for k in zip(table.sample.tolist(), table.unit.tolist()) if k[0] < POOL]
    order = np.argsort(-table.score[table.sample < POOL], kind='stable')
    best = [by_score[i] for i in order]
    acquisition = build()
    alone = keys(build(beta=0.0).select(table, given(0)))
    for round_number, first in ((0, 16), (1, 8), (2, 4), (3, 2)):
        query = keys(acquisition.select(table, given(round_number)))
        assert query[:first] == alone[:first]
        left = [k for k in best if k not in query[:first]]
        assert query[first:] == left[: 16 - first]
    only = keys(build(alpha=0.0).select(table, given(0)))
    assert only == best[:16]


def test_source_rows_and_asked_rows_are_never_asked():
    table, new = rows()
    first = build().select(table, given())
    answers = [
        Answer(int(s), -1, int(u), 'region', 'answered', 'files', 16, 0, 1, 1, -1, b'x')
        for s, u in zip(first.sample, first.unit)
    ]
    ledger = Ledger([answers])
    second = build().select(table, given(1, ledger=ledger))
    assert not set(keys(first)) & set(keys(second))
    assert (second.sample < POOL).all()
    everything = build().select(table, given(0, budget=10**6))
    assert len(everything) == POOL * PER
    answers = [
        Answer(s, -1, u, 'region', 'answered', 'files', 16, 0, 1, 1, -1, b'x')
        for s, u in keys(everything)
    ]
    with pytest.raises(NothingLeftError):
        build().select(table, given(1, ledger=Ledger([answers])))


def test_order_of_rows_and_global_randomness_do_not_matter():
    table, _ = rows()
    mixed = table.take(np.random.default_rng(1).permutation(len(table)))
    np.random.seed(0)
    first = keys(build().select(table, given(1)))
    np.random.seed(1)
    assert keys(build().select(mixed, given(1))) == first


@pytest.mark.parametrize('described', [True, False])
def test_classes_without_a_released_weight_are_left_to_the_uncertainty(described, caplog):
    """Class 0 is alike in both domains, or has but one row in the source; class 1 is far off."""
    pytest.importorskip('sklearn')
    table, _ = rows(shift=0.0)
    target = table.sample < POOL
    features = table.features + np.where(target & (table.category == 1), 30.0, 0.0)[:, None]
    category = table.category
    if not described:
        spare = np.flatnonzero(~target & (category == 0))[1:]
        category = category.copy()
        category[spare] = 1
    table = replace(table, features=features.astype(np.float32), category=category)
    per_class = POOL * PER // 2
    found = keys(build(paper_compat=True).select(table, given(budget=per_class + 10)))
    assert [unit % 2 for _, unit in found] == [1] * per_class + [0] * 10
    scores = dict(zip(zip(table.sample.tolist(), table.unit.tolist()), table.score))
    wanted = sorted((k for k in scores if k[0] < POOL and k[1] % 2 == 0), key=scores.get)
    assert found[per_class:] == wanted[:-11:-1]
    assert ('class 0 has no density' in caplog.text) == (not described)


@pytest.mark.parametrize('kind', ['DensityAware', 'DomainClassifier'])
def test_what_a_region_is_known_by(kind):
    """Four regions of 4 x 4; in the first one most pixels say 1, but the mean says 0."""
    probs = np.random.default_rng(0).dirichlet(np.ones(3), (8, 8)).transpose(2, 0, 1)
    probs[:, :4, :4] = np.array([0.44, 0.56, 0.0])[:, None, None]
    probs[:, 0, :4] = np.array([1.0, 0.0, 0.0])[:, None]
    assert np.bincount(probs.argmax(0)[:4, :4].ravel()).argmax() == 1
    features = np.random.default_rng(1).normal(size=(5, 8, 8))
    prediction = SegPrediction(
        9, *(torch.from_numpy(a.astype(np.float32)) for a in (probs, features))
    )
    units = GridUnits(Manifest.of_images(list('0123456789'), list('0123456789'), [(8, 8)] * 10))
    acquisition = ACQUISITIONS.build(dict(type=kind, unit=GRID), 'acquisition')
    found = acquisition.observe(prediction, 9, units)
    assert found.sample.tolist() == [9] * 4 and found.unit.tolist() == [0, 1, 2, 3]
    assert found.size.tolist() == [16] * 4
    cut = [(slice(y, y + 4), slice(x, x + 4)) for y in (0, 4) for x in (0, 4)]
    pixels = [probs[:, y, x].reshape(3, -1) for y, x in cut]
    assert found.category.tolist() == [int(p.mean(1).argmax()) for p in pixels]
    assert found.category[0] == 0
    entropies = [-(p * np.log(np.maximum(p, 1e-30))).sum(0).mean() for p in pixels]
    np.testing.assert_allclose(found.score, entropies, rtol=1e-5)
    means = [features[:, y, x].reshape(5, -1).mean(1) for y, x in cut]
    np.testing.assert_allclose(found.features, means, atol=1e-6)
    with pytest.raises(ValueError, match='with features'):
        acquisition.observe(replace(prediction, features=None), 9, units)


def test_source_images_are_drawn():
    source = np.arange(40, 80)
    drawn = build(source_images=7).source_samples(source, np.random.default_rng(0))
    assert len(np.unique(drawn)) == 7 and set(drawn) <= set(source)
    assert list(build().source_samples(source, np.random.default_rng(0))) == list(source)


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(alpha=-1), 'alpha'),
        (dict(beta='x'), 'beta'),
        (dict(min_rows=3), 'min_rows.* at least 4, but got 3'),
        (dict(source_images=0), 'source_images'),
        (dict(uncertainty='Entropie'), 'Entropy'),
        (dict(alfa=1), 'Did you mean `alpha`'),
    ],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        build(**change)


def test_a_pool_without_source_is_refused():
    table, _ = rows()
    with pytest.raises(ConfigError, match='source domain'):
        build().select(table.take(table.sample < POOL), given())


def aada(**options):
    return ACQUISITIONS.build(dict(type='DomainClassifier', unit=GRID, **options), 'acquisition')


def test_a_domain_classifier_asks_what_is_uncertain_and_like_the_target():
    table, _ = rows()
    # Half of the target is new.
    new = (table.sample < POOL) & (table.sample % 2 == 0)
    features = table.features + np.where(new, 8.0, 0.0)[:, None].astype(np.float32)
    table = replace(table, features=features)
    wanted = set(zip(table.sample[new].tolist(), table.unit[new].tolist()))
    found = keys(aada(top=None).select(table, given(budget=16)))
    assert len(set(found) & wanted) >= 14
    scores = dict(zip(zip(table.sample.tolist(), table.unit.tolist()), table.score))
    assert np.mean([scores[k] for k in found]) > 0.6
    drawn = keys(aada(top=0.2).select(table, given(budget=16)))
    assert len(drawn) == 16 and set(drawn) != set(found)
    assert keys(aada(top=0.2).select(table, given(budget=16))) == drawn
    assert all(sample < POOL for sample, _ in drawn)


def test_domain_probability_is_a_half_where_domains_are_alike():
    from dense_al.acquisition.domain_classifier import domain_probability

    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(500, 4)), rng.normal(size=(3000, 4))
    assert abs(domain_probability(source, target).mean() - 0.5) < 0.05
    assert domain_probability(source, target + 5).mean() > 0.95
