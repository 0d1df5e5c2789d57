"""BiB and its baselines: which pairs count, which images they lead to, what is remembered."""

from dataclasses import replace

import numpy as np
import pytest
from test_detection import DetectionContract
from test_detection import prediction as some_boxes

from dense_al.acquisition import (
    BoxInBox,
    ClassBalancedRandom,
    ImageCoreSet,
    ImageTags,
    Selection,
    WeakLoss,
)
from dense_al.acquisition.tags import balanced
from dense_al.pool import Ledger, Prices, WholeImages
from dense_al.registry import ConfigError
from dense_al.structures import Answer, Boxes, Budget, DetPrediction, ElementRows, Tags
from dense_al.testing.stub import StubTask

UNITS = WholeImages(StubTask(n_samples=6).manifest)


def nested(sample, features, score=0.9, tags=None, labels=None):
    """Three boxes, each inside the next; (3, D) features."""
    boxes = np.array([[0, 0, 9, 9], [0, 0, 19, 19], [0, 0, 39, 39]], np.float32)
    features = np.asarray(features, np.float32)
    probs = np.full((3, 4), 0.02, np.float32)
    probs[:, 1] = score
    return DetPrediction(
        sample=sample,
        boxes=boxes,
        probs=probs,
        background=np.full(3, 0.05, np.float32),
        scores=np.full(3, score, np.float32),
        labels=np.ones(3, np.int64) if labels is None else np.asarray(labels),
        box_features=features,
        tags=None if tags is None else np.asarray(tags),
    )


def observed(acquisition, predictions):
    parts = [acquisition.observe(p, p.sample, UNITS) for p in predictions]
    return ElementRows.concatenate(parts)


def n_pairs(rows):
    return int((rows.instance >= 0).sum())


class BoxContract(DetectionContract):
    def rows(self):
        acquisition, parts = self.acquisition(), []
        for sample in range(6):
            rng = np.random.default_rng(sample)
            found = some_boxes(sample)
            if sample % 2:
                found = nested(sample, rng.normal(size=(3, 5)))
            features = rng.normal(size=(len(found.boxes), 5)).astype(np.float32)
            found = replace(
                found,
                box_features=features,
                image_features=rng.normal(size=7).astype(np.float32),
                weak_loss=float(rng.random()),
            )
            parts.append(acquisition.observe(found, sample, UNITS))
        return ElementRows.concatenate(parts)


class TestBoxInBox(BoxContract):
    def acquisition(self):
        return BoxInBox()


class TestRandomAmongPaired(BoxContract):
    def acquisition(self):
        return BoxInBox(variant='random')


class TestHalf(BoxContract):
    def acquisition(self):
        return BoxInBox(variant='half', per_cost=True)


class TestWeakLoss(BoxContract):
    def acquisition(self):
        return WeakLoss()


def test_an_image_without_known_tags_has_the_least_loss():
    known = replace(some_boxes(0), tags=np.array([1]))
    rows = observed(WeakLoss(), [replace(known, weak_loss=0.3), some_boxes(1)])
    assert rows.score.tolist() == [0.3, 0.0]
    with pytest.raises(ValueError, match='the loss on its tags'):
        observed(WeakLoss(), [known])


class TestWeightedCoreSet(BoxContract):
    def acquisition(self):
        return ImageCoreSet(weight='entropy')


def test_three_nested_boxes_are_three_pairs_or_two():
    prediction = nested(0, np.eye(3))
    assert n_pairs(observed(BoxInBox(), [prediction])) == 3
    assert n_pairs(observed(BoxInBox(containers='first'), [prediction])) == 2


def test_only_tagged_classes_and_sure_boxes_make_pairs():
    features = np.eye(3)
    assert n_pairs(observed(BoxInBox(), [nested(0, features, tags=[2])])) == 0
    assert n_pairs(observed(BoxInBox(), [nested(0, features, tags=[1, 2])])) == 3
    assert n_pairs(observed(BoxInBox(), [nested(0, features, score=0.1)])) == 0
    assert n_pairs(observed(BoxInBox(), [nested(0, features, labels=[1, 2, 1])])) == 1


def answers(query):
    boxes = Boxes(np.zeros((0, 4)), np.zeros(0)).encode()
    return [
        Answer(int(s), -1, 0, 'image', 'answered', 'x', 1, -1, 0, 0, -1, boxes)
        for s in query.sample
    ]


def pick(acquisition, rows, budget, ledger=None, seed=0):
    prices = Prices()
    given = Selection(
        ledger=ledger or Ledger(),
        budget=budget,
        pool_elements=6 * 256,
        prices=lambda kind, size, sample, objects=0.0: prices.of(
            'boxes', size, np.full(len(size), 256), objects
        ),
        rng=np.random.default_rng(seed),
        n_classes=4,
    )
    return acquisition.select(rows, given)


def test_others_are_drawn_only_where_all_paired_images_are_paid_for(caplog):
    caplog.set_level('INFO')
    clicks = np.arange(6.0)  # of images with pairs; the empty one takes a click of its own
    rows = observed(BoxInBox(), [nested(s, np.full((3, 2), clicks[s])) for s in range(5)])
    empty = nested(5, np.zeros((3, 2)), tags=[2])
    rows = ElementRows.concatenate([rows, observed(BoxInBox(), [empty])])
    spend = Prices().of('boxes', np.array([256]), np.array([256]), np.array([3.0]))[0]
    for seed in range(5):
        query = pick(BoxInBox(), rows, Budget(2.5 * spend[0], 'clicks'), seed=seed)
        assert 1 <= len(query) <= 2 and 5 not in query.sample
    assert 'drawn at random' not in caplog.text
    assert 5 in pick(BoxInBox(), rows, Budget(20 * spend[0], 'clicks')).sample
    assert '5 images have pairs, the budget pays for more' in caplog.text


def test_the_image_with_most_pairs_is_first_and_then_the_farthest():
    near, far = np.zeros((3, 2)), np.full((3, 2), 100.0)
    two = nested(1, near, labels=[1, 2, 1])  # one pair only
    rows = observed(BoxInBox(), [nested(0, near), two, nested(2, near + 0.1), nested(3, far)])
    for seed in range(5):
        query = pick(BoxInBox(), rows, Budget(2), seed=seed)
        assert 3 in query.sample and query.sample[0] != 1


def test_pairs_of_labelled_images_stay_centres_in_the_boxes_of_then():
    acquisition = BoxInBox()
    rows = observed(acquisition, [nested(s, np.full((3, 2), 10.0 * s)) for s in range(3)])
    query = pick(acquisition, rows, Budget(1))
    (sample,) = query.sample.tolist()
    options = acquisition.recall([query])
    assert list(options.remembered) == [sample]
    pairs = options.remembered[sample].reshape(-1, 2, 4)
    assert pairs[:, :, 2].tolist() == [[9, 19], [9, 39], [19, 39]]
    # Now the labelled image is predicted without a single pair; what is remembered still counts.
    now = replace(
        nested(sample, np.zeros((3, 2)), labels=[0, 1, 2]),
        remembered=np.full((6, 2), 7.0, np.float32),
    )
    others = [s for s in range(3) if s != sample]
    later = [nested(others[0], np.full((3, 2), 7.0)), nested(others[1], np.full((3, 2), 70.0))]
    rows = observed(acquisition, [now, *later])
    assert n_pairs(rows.take(rows.sample == sample)) == 3
    ledger = Ledger([answers(query)])
    for seed in range(5):
        assert pick(acquisition, rows, Budget(1), ledger, seed).sample.tolist() == [others[1]]


def test_new_pairs_of_labelled_images_are_no_centres():
    # Asked without a pair then; what it shows now lies where another image does.
    places = {0: 7.0, 1: 7.0, 2: 7.5}
    rows = observed(BoxInBox(), [nested(s, np.full((3, 2), x)) for s, x in places.items()])
    label = Boxes(np.zeros((0, 4)), np.zeros(0)).encode()
    ledger = Ledger([[Answer(0, -1, 0, 'image', 'answered', 'x', 1, -1, 0, 0, -1, label)]])
    picked = {pick(BoxInBox(), rows, Budget(1), ledger, s).sample[0] for s in range(9)}
    assert picked == {1, 2}  # with the pairs of 0 as centres it would always be 2


def test_images_without_pairs_come_last():
    plain = [nested(s, np.zeros((3, 2)), labels=[0, 1, 2]) for s in (2, 3)]
    rows = observed(BoxInBox(), plain)
    paired = observed(BoxInBox(), [nested(4, np.eye(3)[:, :2]), nested(5, np.ones((3, 2)))])
    rows = ElementRows.concatenate([rows, paired])
    query = pick(BoxInBox(), rows, Budget(3))
    assert set(query.sample[:2].tolist()) == {4, 5} and query.sample[2] in (2, 3)
    assert [bool(note) for note in query.notes] == [True, True, False]
    drawn = {pick(BoxInBox(variant='random'), rows, Budget(1), seed=s).sample[0] for s in range(9)}
    assert drawn == {4, 5}


def test_predicted_objects_are_what_an_image_costs():
    many = nested(0, np.eye(3), score=0.9)  # three objects: 1 + 3 * 7 s
    few = nested(1, np.eye(3) * 2, score=0.3)  # none above 0.5, but a pair is at least one: 8 s
    rows = observed(BoxInBox(), [many, few])
    assert rows.objects[rows.instance < 0].tolist() == [3, 1]
    both = pick(BoxInBox(per_cost=True), rows, Budget(31, 'seconds'))
    assert set(both.sample.tolist()) == {0, 1}
    assert len(pick(BoxInBox(), rows, Budget(7, 'seconds'))) == 1  # eight is but a guess
    with pytest.raises(ConfigError, match='pay for at least one image'):
        pick(BoxInBox(), rows, Budget(0.9, 'seconds'))  # a look at an image takes a second


def test_reduced_features_lead_to_the_same_far_image():
    rng = np.random.default_rng(0)
    rows = observed(
        BoxInBox(), [nested(s, rng.normal(size=(3, 6)) + 50 * (s == 3)) for s in range(5)]
    )
    assert 3 in pick(BoxInBox(pca=2), rows, Budget(2)).sample


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(containers='al'), 'Did you mean `all`'),
        (dict(variant='diverze'), 'Did you mean `diverse`'),
        (dict(pca=-1), 'at least 0'),
    ],
)
def test_wrong_options_are_named(given, message):
    with pytest.raises(ConfigError, match=message):
        BoxInBox(**given)


def tagged(classes):
    return [
        Answer(s, -1, 0, 'tags', 'answered', 'x', 0, -1, 0, 0, -1, Tags(c).encode())
        for s, c in enumerate(classes)
    ]


class TestImageTags(DetectionContract):
    def acquisition(self):
        return ImageTags()

    def test_classes_named_so_far_are_expected_of_the_others(self):
        ledger = Ledger([tagged([[0, 1], [0, 1, 2, 3]])])
        budget = Budget(8, 'seconds')
        assert len(self.select(self.rows(), budget)) == 2  # 3.5 classes in an image of COCO
        assert len(self.select(self.rows(), Budget(8.9, 'seconds'), ledger)) == 2  # 3 each
        assert len(self.select(self.rows(), Budget(9, 'seconds'), ledger)) == 3


def test_the_class_drawn_least_is_next():
    shown = np.zeros((40, 3), bool)
    shown[:36, 0] = True
    shown[36:38, 1] = True
    shown[38:, 2] = True
    order = balanced(shown, np.zeros(40, bool), np.zeros(3), np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(40))
    assert sorted(shown[order[:6]].argmax(1).tolist()) == [0, 0, 1, 1, 2, 2]
    later = balanced(shown, np.zeros(40, bool), np.array([5, 0, 5]), np.random.default_rng(0))
    assert set(later[:2].tolist()) == {36, 37}


def test_class_balanced_random_needs_tags_and_counts_what_is_labelled():
    rows = ElementRows.concatenate(
        [ElementRows.of_sample(s, np.zeros(1), UNITS.sizes(s)) for s in range(6)]
    )
    tags = tagged([[0], [0], [0], [1], [2], []])
    ledger = Ledger([[tag for tag in tags if tag.sample != 4]])  # declined: nobody said
    assert pick(ClassBalancedRandom(), rows, Budget(6), ledger).sample[-2:].tolist() in (
        [4, 5],
        [5, 4],
    )
    ledger = Ledger([tags])
    first = pick(ClassBalancedRandom(), rows, Budget(3), ledger)
    assert sorted(first.sample.tolist())[1:] == [3, 4] and first.sample.min() < 3
    label = Boxes([[0, 0, 1, 1]], [1]).encode()
    done = Answer(3, -1, 0, 'image', 'answered', 'x', 1, 1, 0, 0, -1, label)
    ledger = Ledger([tags, [done]])
    for seed in range(4):
        query = pick(ClassBalancedRandom(), rows, Budget(2), ledger, seed)
        assert 4 in query.sample and 3 not in query.sample
