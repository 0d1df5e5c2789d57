"""Images to label with boxes: scores against the published sandbox, and the contract."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dense_al.acquisition import BoxUncertainty, ImageCoreSet, Selection
from dense_al.acquisition.functional import class_weights
from dense_al.acquisition.functional import detection as D
from dense_al.adapters.mmdet_predict import suppressed
from dense_al.adapters.mmdet_readers import Candidates
from dense_al.pool import Ledger, Prices, WholeImages
from dense_al.registry import ConfigError
from dense_al.structures import ANSWERED, Answer, Boxes, Budget, DetPrediction, ElementRows
from dense_al.testing import AcquisitionContract
from dense_al.testing.stub import StubTask

GOLDEN = Path(__file__).resolve().parents[3] / 'shared/golden/sandbox_scores'
CASES = sorted(GOLDEN.glob('*.npz'))
NO_BOXES = Boxes(np.zeros((0, 4)), np.zeros(0))


def prediction(sample, n_classes=4):
    """Some boxes; sample 0 has none."""
    rng = np.random.default_rng(sample)
    k = 0 if sample == 0 else int(rng.integers(1, 6))
    boxes = np.sort(rng.uniform(0, 16, (k, 2, 2)), axis=1).reshape(k, 4)
    probs = rng.random((k, n_classes))
    passes = np.clip(probs + rng.normal(0, 0.1, (5, k, n_classes)), 1e-3, 1)
    return DetPrediction(
        sample=sample,
        boxes=boxes.astype(np.float32),
        probs=probs.astype(np.float32),
        background=1 - probs.max(axis=1, initial=0),
        scores=probs.max(axis=1, initial=0),
        labels=probs.argmax(axis=1),
        passes=passes,
        box_passes=boxes + rng.normal(0, 1, (5, k, 4)),
        image_features=rng.normal(size=7).astype(np.float32),
    )


class DetectionContract(AcquisitionContract):
    form = 'boxes'

    def rows(self):
        task = StubTask(n_samples=6)
        units, acquisition = WholeImages(task.manifest), self.acquisition()
        return ElementRows.concatenate(
            [acquisition.observe(prediction(s), s, units) for s in range(6)]
        )

    def test_what_is_drawn_in_an_image_is_part_of_its_price(self):
        rows, kind = self.rows(), self.acquisition().kind
        clicks = self.given(Budget(1e9, 'clicks')).spend(kind, rows.take(rows.size > 0))
        assert (clicks >= (1 if kind == 'tags' else 4)).all()  # at least one object in each

    def select_with(self, acquisition, rows, ledger):
        query = acquisition.select(rows, selection(6, (ledger, 4)))
        return dict(zip(query.sample.tolist(), query.score.tolist()))


class TestEntropySum(DetectionContract):
    def acquisition(self):
        return BoxUncertainty()


class TestMarginMax(DetectionContract):
    def acquisition(self):
        return BoxUncertainty(score='Margin', aggregate='max', weight='class')


class TestMutualInformationMean(DetectionContract):
    def acquisition(self):
        return BoxUncertainty(score='MutualInformation', aggregate='mean')


class TestMCDropout(DetectionContract):
    def acquisition(self):
        return BoxUncertainty(score='MCDropout', aggregate='max')


class TestReleasedMutualInformation(DetectionContract):
    def acquisition(self):
        return BoxUncertainty(score='MutualInformation', aggregate='mean', released=True)


class TestReleasedMCDropout(DetectionContract):
    def acquisition(self):
        return BoxUncertainty(score='MCDropout', aggregate='max', released=True)


class TestImageCoreSet(DetectionContract):
    def acquisition(self):
        return ImageCoreSet()


class TestCosineCoreSet(DetectionContract):
    def acquisition(self):
        return ImageCoreSet(metric='cosine')


class TestReleasedCoreSet(DetectionContract):
    def acquisition(self):
        return ImageCoreSet(metric='cosine', released=True)


@pytest.mark.skipif(not CASES, reason='needs the golden vectors')
@pytest.mark.parametrize('path', CASES, ids=lambda p: p.stem)
def test_scores_equal_the_published_ones(path):
    case = np.load(path)
    probs = case['box_probs_renormalised']
    np.testing.assert_allclose(D.entropy(probs), case['box_entropy'], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(D.squared_margin(probs), case['box_margin'], rtol=1e-5, atol=1e-6)
    weights = class_weights(case['class_counts'])
    np.testing.assert_allclose(weights, case['class_weight'], rtol=1e-6)
    offsets = case['box_offsets']
    n = len(offsets) - 1
    owner = np.repeat(np.arange(n), np.diff(offsets))
    for score, values in (('entropy', case['box_entropy']), ('margin', case['box_margin'])):
        for how, name in (('sum', 'sum'), ('mean', 'average'), ('max', 'maximum')):
            found = D.over_boxes(values, owner, n, how)
            np.testing.assert_allclose(found, case[f'image_{score}_{name}'], rtol=1e-5, atol=1e-6)
            found = D.over_boxes(values * weights[case['box_labels']], owner, n, how)
            wanted = case[f'image_{score}_{name}_weighted']
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not CASES, reason='needs the golden vectors')
@pytest.mark.parametrize('path', CASES, ids=lambda p: p.stem)
@pytest.mark.parametrize('score', ['Entropy', 'Margin'])
def test_released_boxes_weights_and_query_equal_the_published_ones(path, score):
    """From boxes and class scores to the query, by the released rules."""
    case = np.load(path)
    thresholds = {'score_thr': float(case['score_thr']), 'nms_iou': float(case['nms_iou'])}
    thresholds['max_boxes'] = int(case['max_boxes'])
    acquisition = BoxUncertainty(score=score, released=True, **thresholds)
    n, parts = len(case['boxes']), []
    units = WholeImages(StubTask(n_samples=n).manifest)
    for i in range(n):
        found = candidates(case['boxes'][i], case['probs'][i])
        keep, classes = suppressed(found, acquisition.options)
        of_image = slice(*case['box_offsets'][i : i + 2])
        assert keep.tolist() == case['box_anchor'][of_image].tolist()
        assert classes.tolist() == case['box_labels'][of_image].tolist()
        arrays = [a[keep].numpy() for a in (found.boxes, found.probs, found.background)]
        seen = DetPrediction(i, *arrays, found.scores[keep].numpy(), classes.numpy())
        parts.append(acquisition.observe(seen, i, units))
    query = acquisition.select(
        ElementRows.concatenate(parts), selection(n, labelled(case['class_counts']))
    )
    wanted = case[f'image_{score.lower()}_sum_weighted']
    np.testing.assert_allclose(query.score, wanted[query.sample], rtol=1e-4, atol=1e-5)
    asked = case[f'query_{score.lower()}_sum_weighted']
    asked = asked[wanted[asked] > 0]  # images without boxes are equal
    assert query.sample[: len(asked)].tolist() == asked.tolist()


def candidates(boxes, probs):
    boxes, probs = torch.tensor(boxes), torch.tensor(probs)
    best = probs.amax(1)
    return Candidates(boxes, probs, 1 - best, best)


def labelled(counts):
    """A ledger that holds so many objects of each class, outside the pool."""
    classes = np.repeat(np.arange(len(counts)), counts)
    objects = Boxes(np.tile([0, 0, 1, 1], (len(classes), 1)), classes)
    answer = Answer(999, -1, 0, 'image', ANSWERED, 'x', 256, 2, 0, 0, -1, objects.encode())
    return Ledger([[answer]]), len(counts)


def selection(n, known):
    ledger, n_classes = known
    prices = Prices()
    return Selection(
        ledger=ledger,
        budget=Budget(n),
        pool_elements=n * 256,
        prices=lambda kind, size, sample, objects=0.0: prices.of(
            kind, size, np.full(len(size), 256)
        ),
        rng=np.random.default_rng(0),
        n_classes=n_classes,
    )


def test_a_candidate_counts_once_unless_released():
    found = candidates(
        np.array([[0, 0, 10, 10], [30, 0, 40, 10]], np.float32),
        np.array([[0.8, 0.6, 0.1], [0.2, 0.3, 0.7]], np.float32),
    )
    keep, classes = suppressed(found, BoxUncertainty().options)
    assert (keep.tolist(), classes.tolist()) == ([0, 1], [0, 2])
    keep, classes = suppressed(found, BoxUncertainty(released=True).options)
    assert (keep.tolist(), classes.tolist()) == ([0, 1, 0], [0, 2, 1])


def test_released_weights_cannot_be_turned_off():
    rows = TestEntropySum().rows()
    ledger = labelled([0, 50, 0, 0])[0]
    fixed, weighted, released = (
        TestEntropySum().select_with(BoxUncertainty(**options), rows, ledger)
        for options in ({}, {'weight': 'class'}, {'released': True})
    )
    assert weighted == released != fixed


def test_released_mutual_information():
    # Mean (.6, .15), renormalised (.8, .2): entropy .5004. Passes: .5004 and .5968, halved.
    passes = np.array([[[0.8, 0.2]], [[0.4, 0.1]]])
    wanted = 0.500402 - (0.500402 + 0.596775) / 4
    assert D.released_mutual_information(passes) == pytest.approx([wanted], abs=1e-5)
    assert D.mutual_information(D.renormalised(passes)) == pytest.approx([0], abs=1e-12)
    boxes = np.zeros((2, 1, 4))
    seen = DetPrediction(0, boxes[0], passes[0], None, None, None, passes=passes, box_passes=boxes)
    acquisition = BoxUncertainty(score='MutualInformation', released=True)
    assert acquisition._values(seen) == pytest.approx(np.array([[wanted]]), abs=1e-5)


def test_released_dropout_puts_means_where_deviations_belong():
    # Two boxes, two passes, one class; all sides stay, so their columns are 0.
    passes = np.array([[[0.4], [0.9]], [[0.6], [0.5]]])
    boxes = np.zeros((2, 2, 4))
    spread = D.deviations(passes, boxes, ddof=1)
    # Deviations are .2 / sqrt(2) and .4 / sqrt(2): mean .21213, deviation .1.
    assert spread[:, 4] == pytest.approx([0.1414214, 0.2828427], abs=1e-6)
    found = D.released_largest_deviation(spread, passes.mean(axis=0))
    assert found == pytest.approx([(0.5 - 0.2121320) / 0.1, (0.7 - 0.2121320) / 0.1], abs=1e-4)
    plain = D.largest_deviation(D.deviations(passes, boxes))
    assert plain == pytest.approx([0, 1])  # 0 of the sides, which never move
    acquisition = BoxUncertainty(score='MCDropout', released=True)
    seen = DetPrediction(0, boxes[0], passes[0], None, None, None, passes=passes, box_passes=boxes)
    kept = acquisition._values(seen)
    np.testing.assert_allclose(acquisition._standardised(kept), found)


def test_released_core_set_takes_similarity_for_distance():
    angles = np.deg2rad([0.0, 10.0, 80.0, 170.0])
    rows = ElementRows.concatenate(
        [
            ElementRows.of_sample(i, np.zeros(1), np.full(1, 256), features=unit[None])
            for i, unit in enumerate(np.stack([np.cos(angles), np.sin(angles)], 1))
        ]
    )
    answer = Answer(0, -1, 0, 'image', ANSWERED, 'x', 256, 2, 0, 0, -1, NO_BOXES.encode())
    orders = {}
    for released in (False, True):
        acquisition = ImageCoreSet(metric='cosine', released=released)
        given = selection(4, (Ledger([[answer]]), 1))
        orders[released] = acquisition.select(rows, given).sample.tolist()
    assert orders == {False: [3, 2, 1], True: [1, 2, 3]}


def test_an_image_without_boxes_scores_nothing():
    contract = TestEntropySum()
    query = contract.select(contract.rows(), Budget(6))
    assert query.sample[-1] == 0 and query.score[-1] == 0


def test_rare_classes_count_more():
    rows = TestMarginMax().rows()
    labelled = Boxes(np.tile([0, 0, 1, 1], (50, 1)), np.full(50, 2))
    answer = Answer(0, -1, 0, 'image', ANSWERED, 'x', 256, 2, 0, 0, -1, labelled.encode())
    ledger = Ledger([[answer]])
    assert ledger.class_counts(4).tolist() == [0, 0, 50, 0]
    even = TestMarginMax().select(rows, Budget(5))
    uneven = TestMarginMax().select(rows, Budget(5), ledger=ledger)
    scores = dict(zip(uneven.sample.tolist(), uneven.score.tolist()))
    labels = {s: prediction(s).labels for s in range(1, 6)}
    margins = {s: D.squared_margin(D.renormalised(prediction(s).probs)) for s in labels}
    for s, found in scores.items():
        weights = class_weights(np.array([0, 0, 50, 0]))
        assert found == pytest.approx((margins[s] * weights[labels[s]]).max(), rel=1e-5)
    assert not np.allclose(np.sort(even.score), np.sort(uneven.score))


def test_mutual_information_needs_disagreement():
    same = np.tile([[0.3, 0.7]], (4, 2, 1))
    assert D.mutual_information(same) == pytest.approx([0, 0])
    rng = np.random.default_rng(0)
    passes = D.renormalised(rng.random((8, 5, 3)))
    by_loop = [
        D.entropy(passes[:, k].mean(0)) - np.mean([D.entropy(p) for p in passes[:, k]])
        for k in range(5)
    ]
    np.testing.assert_allclose(D.mutual_information(passes), by_loop)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(score='Entropi'), 'Did you mean `Entropy`'),
        (dict(aggregate='summ'), 'Did you mean `sum`'),
        (dict(weight='rare'), "None or 'class'"),
    ],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        BoxUncertainty(**change)


def test_mistakes_of_the_core_set_are_named():
    with pytest.raises(ConfigError, match='Did you mean `cosine`'):
        ImageCoreSet(metric='cosin')
    zeros = np.zeros((2, 3))
    with pytest.raises(ValueError, match='2 rows of zeros and 1 labelled'):
        D.most_alike_greedy(zeros, np.array([True, False]), 1)
