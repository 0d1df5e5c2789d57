"""Points on objects: which pixels are offered, which are asked, and which never again."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dense_al.acquisition import NothingLeftError, PointUncertainty, Selection
from dense_al.acquisition.functional import mask_uncertainty, point_of_max_entropy
from dense_al.pool import Ledger, Prices, WholeImages
from dense_al.registry import ACQUISITIONS, ConfigError
from dense_al.structures import Answer, Boxes, Budget, ElementRows, InstancePrediction, Instances
from dense_al.testing.stub import StubTask

SIZE = (12, 15)
BOXES = np.array([[1.5, 2, 6, 7], [4, 0, 15, 12], [9, 9, 11, 11.5]], np.float32)
UNITS = WholeImages(StubTask().manifest)


def prediction(sample=0, views=1, boxes=BOXES, seed=None, **more):
    """Maps of noise; `asked` and `has_mask` unless given."""
    rng = np.random.default_rng(sample if seed is None else seed)
    floored = np.floor(boxes).astype(int)
    maps = tuple(
        rng.random((views, max(y1 - y0, 1), max(x1 - x0, 1)), dtype=np.float32)
        for x0, y0, x1, y1 in floored
    )
    n = len(boxes)
    given = dict(
        sample=sample, size=SIZE, boxes=boxes, has_mask=np.zeros(n, bool),
        asked=(np.zeros((0, 2), np.int64),) * n, maps=maps,
    )  # fmt: skip
    return InstancePrediction(**{**given, **more})


def observed(acquisition, *predictions):
    if 'masks' not in acquisition.needs:
        predictions = [replace(p, maps=()) for p in predictions]
    return ElementRows.concatenate([acquisition.observe(p, p.sample, UNITS) for p in predictions])


def drawn(sample, points=None, boxes=BOXES):
    """The answer that drew the boxes of a sample, perhaps with points x, y."""
    label = Boxes(boxes, np.zeros(len(boxes)))
    if points is not None:
        points = np.array(points)
        label = Instances(boxes, label.labels, points, np.ones(points.shape[:2]))
    return Answer(
        sample, -1, 0, 'image', 'answered', 'x', 1, 0, 0.0, 0.0, -1, label.encode())  # fmt: skip


def pointed(sample, instance, y, x, status='declined'):
    unit = y * SIZE[1] + x
    return Answer(sample, instance, unit, 'point', status, 'x', 1, -1, 1.0, 0.9, -1, b'')


def select(acquisition, rows, budget=100, ledger=None, seed=0, unit='units'):
    prices = Prices()
    given = Selection(
        ledger=ledger or Ledger([[drawn(s) for s in range(4)]]),
        budget=Budget(budget, unit),
        pool_elements=1000,
        prices=lambda kind, size, sample, objects=0.0: prices.of(
            kind, size, np.full(len(size), 180), objects
        ),
        rng=np.random.default_rng(seed),
        n_classes=3,
    )
    return acquisition.select(rows, given)


def keys(query):
    """(sample, instance, y, x) of what is asked."""
    y, x = np.divmod(query.unit, SIZE[1])
    return list(zip(*(c.tolist() for c in (query.sample, query.instance, y, x))))


def inside(key, boxes=BOXES):
    x0, y0, x1, y1 = np.floor(boxes[key[1]])
    return y0 <= key[2] < y1 and x0 <= key[3] < x1


def test_each_object_is_asked_at_its_most_uncertain_pixel():
    found = [prediction(s) for s in range(2)]
    query = select(PointUncertainty(), observed(PointUncertainty(), *found))
    wanted, scores = {}, {}
    for p in found:
        for i, (x0, y0, _, _) in enumerate(np.floor(BOXES).astype(int)):
            whole = np.zeros((1, *SIZE))
            _, h, w = p.maps[i].shape
            whole[0, y0 : y0 + h, x0 : x0 + w] = p.maps[i][0]
            point, value = point_of_max_entropy(whole, BOXES[i : i + 1])
            wanted[p.sample, i] = tuple(point[0].tolist())
            scores[p.sample, i] = value[0]
    assert {key[:2]: key[2:] for key in keys(query)} == wanted and len(query) == 6
    assert query.kind == 'point' and (query.size == 1).all()
    assert (np.diff(query.score) <= 0).all()
    np.testing.assert_allclose(query.score, [scores[k[:2]] for k in keys(query)])


@pytest.mark.parametrize('metric', ['entropy', 'variance', 'mutual_information'])
def test_the_metric_decides(metric):
    # Pixels that are best by the first, the second and the third metric.
    probs = np.array([[[0.5, 0.25, 0.0]], [[0.5, 0.7, 0.4]]], np.float32)
    p = prediction(boxes=np.array([[3, 4, 6, 5]], np.float32), maps=(probs,))
    query = select(PointUncertainty(metric), observed(PointUncertainty(metric), p))
    best = ['entropy', 'variance', 'mutual_information'].index(metric)
    assert keys(query) == [(0, 0, 4, 3 + best)]
    assert query.score[0] == mask_uncertainty(probs, metric).max()


@pytest.mark.parametrize('distance', [0.0, 2.5])
def test_several_points_of_an_object_keep_their_distance(distance):
    acquisition = PointUncertainty(per_instance=3, min_distance=distance)
    query = select(acquisition, observed(acquisition, prediction(boxes=BOXES[:2])))
    assert sorted(key[1] for key in keys(query)) == [0, 0, 0, 1, 1, 1]
    gaps = [
        math.dist(a[2:], b[2:])
        for i in range(2)
        for a in keys(query)
        for b in keys(query)
        if a != b and a[1] == b[1] == i
    ]
    assert min(gaps) >= max(distance, 1)
    # Noise: without a distance some of the best pixels are near each other.
    assert distance or min(gaps) < 2.5


def test_points_keep_their_distance_from_those_asked_before():
    p = prediction(boxes=BOXES[1:2])
    (first,) = keys(select(PointUncertainty(), observed(PointUncertainty(), p)))
    p = replace(p, asked=(np.array([first[2:]]),))
    (again,) = keys(select(PointUncertainty(), observed(PointUncertainty(), p)))
    assert again != first and inside(again, BOXES[1:2])
    far = PointUncertainty(min_distance=4)
    (away,) = keys(select(far, observed(far, p)))
    assert math.dist(away[2:], first[2:]) >= 4


@pytest.mark.parametrize('candidates', [1, 3])
def test_a_budget_over_all_objects(candidates):
    acquisition = PointUncertainty(per_instance=None, candidates=candidates)
    found = [replace(p, maps=tuple(0.1 * m for m in p.maps)) for p in map(prediction, range(3))]
    unsure = replace(found[1], maps=(found[1].maps[0], 0.5 + found[1].maps[1], found[1].maps[2]))
    rows = observed(acquisition, found[0], unsure, found[2])
    assert len(rows) == 9 * candidates
    query = select(acquisition, rows, candidates + 1)
    assert [key[:2] for key in keys(query)[:-1]] == [(1, 1)] * candidates
    assert keys(query)[-1][:2] != (1, 1)  # it offers no more
    np.testing.assert_array_equal(query.score, np.sort(rows.score)[::-1][: len(query)])


def test_objects_with_a_mask_are_not_asked():
    p = prediction(has_mask=np.array([True, False, True]))
    for metric in ('entropy', 'random'):
        query = select(PointUncertainty(metric), observed(PointUncertainty(metric), p))
        assert query.instance.tolist() == [1]
    with pytest.raises(NothingLeftError):
        rows = observed(PointUncertainty(), prediction(has_mask=np.ones(3, bool)))
        select(PointUncertainty(), rows)


@pytest.mark.parametrize('maps', [(), 'none', 'sure'])
def test_objects_that_the_model_says_nothing_about_are_asked_at_random(maps):
    p = prediction()
    sure = tuple(np.ones_like(m) for m in p.maps)
    p = replace(p, maps={'none': (None,) * 3, 'sure': sure}.get(maps, maps))
    rows = observed(PointUncertainty(), p)
    found = [keys(select(PointUncertainty(), rows, seed=seed)) for seed in range(300)]
    assert all(sorted(key[1] for key in ks) == [0, 1, 2] for ks in found)
    assert all(inside(key) for ks in found for key in ks)
    seen = [{key[2:] for ks in found for key in ks if key[1] == i} for i in range(3)]
    assert len(seen[0]) == 25 and len(seen[1]) > 90 and len(seen[2]) == 4


def test_what_the_model_is_unsure_of_comes_before_random_pixels():
    p = prediction()
    rows = observed(PointUncertainty(), replace(p, maps=(None, p.maps[1], None)))
    for seed in range(5):
        query = select(PointUncertainty(), rows, 1, seed=seed)
        assert query.instance.tolist() == [1] and query.score[0] > 0


TWO = np.array([[3, 4, 5, 6]], np.float32)  # four pixels


@pytest.mark.parametrize('metric', ['entropy', 'random'])
@pytest.mark.parametrize('n', [1, 2])
def test_random_pixels_were_never_asked(metric, n):
    """One pixel came with the box, one was declined, one answered: one is left."""
    acquisition = PointUncertainty(metric, per_instance=n)
    asked = np.array([[4, 3], [4, 4], [5, 3]])
    p = prediction(boxes=TWO, maps=(), asked=(asked,))
    given = [pointed(0, 0, 4, 4), pointed(0, 0, 5, 3, 'answered')]
    others = [pointed(0, 1, 5, 4), pointed(1, 0, 5, 4)]  # of another object, another image
    ledger = Ledger([[drawn(0, [[[3, 4]]], TWO)], given + others])
    for seed in range(20):
        query = select(acquisition, observed(acquisition, p), ledger=ledger, seed=seed)
        assert keys(query) == [(0, 0, 5, 4)]


@pytest.mark.parametrize('metric', ['entropy', 'variance', 'random'])
def test_an_object_all_of_whose_pixels_were_asked(metric):
    every = np.array([[4, 3], [4, 4], [5, 3], [5, 4]])
    acquisition = PointUncertainty(metric)
    answers = [pointed(0, 0, *at) for at in every.tolist()]
    boxes = np.concatenate([TWO, BOXES[:1]])
    ledger = Ledger([[drawn(0, boxes=boxes)], answers])
    none = np.zeros((0, 2), np.int64)
    p = prediction(boxes=TWO, views=2, asked=(every,))
    with pytest.raises(NothingLeftError, match='pixels of objects left'):
        select(acquisition, observed(acquisition, p), ledger=ledger)
    p = prediction(boxes=boxes, views=2, asked=(every, none))
    query = select(acquisition, observed(acquisition, p), ledger=ledger)
    assert query.instance.tolist() == [1]


def test_random_pixels_keep_their_distance():
    p = prediction(boxes=np.array([[0, 0, 7, 7]], np.float32), maps=())
    acquisition = PointUncertainty('random', per_instance=6, min_distance=4)
    ledger = Ledger([[drawn(0, boxes=p.boxes)], [pointed(0, 0, 0, 0)]])
    for seed in range(10):
        asked = keys(select(acquisition, observed(acquisition, p), ledger=ledger, seed=seed))
        at = np.array([(0, 0), *(key[2:] for key in asked)])
        gaps = ((at[:, None] - at) ** 2).sum(-1)
        assert 2 <= len(asked) <= 6 and gaps[~np.eye(len(at), dtype=bool)].min() >= 16


def test_a_random_pixel_is_not_the_chosen_one():
    boxes = np.array([[3, 4, 5, 5]], np.float32)  # two pixels, only one unsure
    p = prediction(boxes=boxes, maps=(np.array([[[0.5, 1.0]]], np.float32),))
    acquisition = PointUncertainty(per_instance=3)
    for seed in range(10):
        query = select(acquisition, observed(acquisition, p), seed=seed)
        assert keys(query) == [(0, 0, 4, 3), (0, 0, 4, 4)]


def test_declined_points_are_not_asked_again():
    """`observe` is told of them as of answered ones."""
    p = prediction(boxes=TWO, asked=(np.array([[4, 3], [4, 4], [5, 3]]),))
    ledger = Ledger([[drawn(0, boxes=TWO)]])
    query = select(PointUncertainty(), observed(PointUncertainty(), p), ledger=ledger)
    assert keys(query) == [(0, 0, 5, 4)]


def far_from_outline(mask):
    """Distance of each pixel's centre to the outline, by a loop."""
    cells = [(y, x) for y in range(mask.shape[0]) for x in range(mask.shape[1])]
    found = np.zeros(mask.shape)
    for y, x in cells:
        found[y, x] = min(math.dist((y, x), c) for c in cells if mask[c] != mask[y, x]) - 0.5
    return found


@pytest.mark.parametrize('distance', [1, 2])
def test_the_outline_is_avoided(distance):
    boxes = np.array([[2, 1, 13, 11]], np.float32)
    inside = np.zeros((10, 11), bool)
    inside[2:8, 2:9] = True
    far = far_from_outline(inside)
    probs = np.where(inside, 0.5 + 0.05 * far, 0.5 - 0.05 * far)  # least sure at the outline
    p = prediction(boxes=boxes, maps=(probs[None].astype(np.float32),))
    plain, away = PointUncertainty(), PointUncertainty(avoid_outline=distance)
    ((_, _, y, x),) = keys(select(plain, observed(plain, p)))
    assert far[y - 1, x - 2] == 0.5
    ((_, _, y, x),) = keys(select(away, observed(away, p)))
    assert far[y - 1, x - 2] == far[far >= distance].min()


def test_an_object_that_is_all_outline_is_asked_anyway():
    probs = np.array([[[0.6, 0.2], [0.9, 0.1]]], np.float32)
    acquisition = PointUncertainty(avoid_outline=5)
    p = prediction(boxes=TWO, maps=(probs,))
    assert keys(select(acquisition, observed(acquisition, p))) == [(0, 0, 4, 3)]
    p = prediction(boxes=TWO, maps=(np.array([[[0.6, 0.7], [0.9, 0.8]]], np.float32),))
    assert keys(select(acquisition, observed(acquisition, p))) == [(0, 0, 4, 3)]


@pytest.mark.parametrize(
    ('amount', 'unit', 'n'),
    [
        (5, 'units', 5),
        (0.5, 'per_object', 6),  # of the 12 objects that have boxes
        (1, 'per_object', 9),
        (4.6, 'seconds', 5),
        (3.9, 'clicks', 3),
        (2, 'points', 2),
        (0.4, 'percent', 4),
    ],
)
@pytest.mark.parametrize('metric', ['entropy', 'random'])
def test_the_budget_is_kept_and_used(metric, amount, unit, n):
    rows = observed(PointUncertainty(metric), *(prediction(s) for s in range(3)))
    assert len(select(PointUncertainty(metric), rows, amount, unit=unit)) == n


def test_a_budget_for_nothing_is_named():
    rows = observed(PointUncertainty(), prediction())
    with pytest.raises(ConfigError, match='pay for at least one point.*takes 0.9 seconds'):
        select(PointUncertainty(), rows, 0.5, unit='seconds')


@pytest.mark.parametrize('metric', ['entropy', 'random'])
def test_the_seed_alone_decides(metric):
    acquisition = PointUncertainty(metric, per_instance=2)
    maps = prediction().maps
    found = [replace(prediction(s), maps=(None, *maps[1:])) for s in range(4)]
    rows = observed(acquisition, *found)
    first = select(acquisition, rows, 12, seed=3)
    np.random.seed(5)
    state = np.random.get_state()[1].copy()
    mixed = rows.take(np.random.default_rng(1).permutation(len(rows)))
    again = select(acquisition, mixed, 12, seed=3)
    assert keys(first) == keys(again) and (np.random.get_state()[1] == state).all()
    np.testing.assert_array_equal(first.score, again.score)
    assert len({tuple(keys(select(acquisition, rows, 12, seed=seed))) for seed in range(5)}) > 1


def test_equal_objects_are_drawn_by_the_seed():
    half = tuple(np.full_like(m, 0.5) for m in prediction().maps)
    rows = observed(PointUncertainty(), *(prediction(s, maps=half) for s in range(4)))
    picks = {tuple(keys(select(PointUncertainty(), rows, 1, seed=seed))) for seed in range(60)}
    assert len(picks) == 12


def test_an_image_without_objects_and_no_object_at_all():
    none = prediction(boxes=np.zeros((0, 4), np.float32))
    rows = observed(PointUncertainty(), none)
    assert len(rows) == 0
    with pytest.raises(NothingLeftError, match='objects'):
        select(PointUncertainty(), rows)


@pytest.mark.parametrize('metric', ['entropy', 'variance', 'mutual_information', 'random'])
def test_what_it_needs(metric):
    acquisition = PointUncertainty(metric, views='flip', most=7)
    assert acquisition.needs == ({'objects'} if metric == 'random' else {'objects', 'masks'})
    assert acquisition.observes == {'labelled'} and acquisition.kind == 'point'
    assert acquisition.recall([]).mean == (metric == 'entropy')
    assert (acquisition.options.views, acquisition.options.most) == ('flip', 7)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(metric='entropie'), '`acquisition.metric`.*Did you mean `entropy`'),
        (dict(views='positive'), '`acquisition.views`.*Did you mean `positives`'),
        (dict(per_instance=0), '`acquisition.per_instance` to be an integer of at least 1'),
        (dict(per_instance=1.5), 'per_instance.*but got 1.5'),
        (dict(candidates=True), '`acquisition.candidates`.*but got True'),
        (dict(most=0), '`acquisition.most`'),
        (dict(passes='8'), '`acquisition.passes`'),
        (dict(min_distance=-1), '`acquisition.min_distance` to be a number of at least 0'),
        (dict(avoid_outline=float('nan')), '`acquisition.avoid_outline`'),
        (dict(dropout=1.0), '`acquisition.dropout` between 0 and 1'),
        (dict(metrik='entropy'), 'Did you mean `metric`'),
        (dict(unit=dict(type='Image')), 'Unknown key `acquisition.unit`'),
    ],
)
def test_mistakes_in_the_config_name_the_field(change, message):
    with pytest.raises(ConfigError, match=message):
        ACQUISITIONS.build(dict(type='PointUncertainty', **change), 'acquisition')
