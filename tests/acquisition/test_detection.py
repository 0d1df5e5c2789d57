"""Images to label with boxes: scores against the published sandbox, and the contract."""

from pathlib import Path

import numpy as np
import pytest

from dense_al.acquisition import BoxUncertainty, ImageCoreSet
from dense_al.acquisition.functional import detection as D
from dense_al.pool import Ledger, WholeImages
from dense_al.registry import ConfigError
from dense_al.structures import (
    ANSWERED,
    Answer,
    Boxes,
    Budget,
    DetPrediction,
    ElementRows,
    encode_boxes,
)
from dense_al.testing import AcquisitionContract
from dense_al.testing.stub import StubTask

GOLDEN = Path(__file__).resolve().parents[3] / 'shared/golden/sandbox_scores'
CASES = sorted(GOLDEN.glob('*.npz'))


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
    def rows(self):
        task = StubTask(n_samples=6)
        units, acquisition = WholeImages(task.manifest), self.acquisition()
        return ElementRows.concatenate(
            [acquisition.observe(prediction(s), s, units) for s in range(6)]
        )


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


class TestImageCoreSet(DetectionContract):
    def acquisition(self):
        return ImageCoreSet()


@pytest.mark.skipif(not CASES, reason='needs the golden vectors')
@pytest.mark.parametrize('path', CASES, ids=lambda p: p.stem)
def test_scores_equal_the_published_ones(path):
    case = np.load(path)
    probs = case['box_probs_renormalised']
    np.testing.assert_allclose(D.shannon(probs), case['box_entropy'], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(D.squared_margin(probs), case['box_margin'], rtol=1e-5, atol=1e-6)
    weights = D.class_weights(case['class_counts'])
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


def test_an_image_without_boxes_scores_nothing():
    contract = TestEntropySum()
    query = contract.select(contract.rows(), Budget(6))
    assert query.sample[-1] == 0 and query.score[-1] == 0


def test_rare_classes_count_more():
    rows = TestMarginMax().rows()
    labelled = Boxes(np.tile([0, 0, 1, 1], (50, 1)), np.full(50, 2))
    answer = Answer(0, -1, 0, 'image', ANSWERED, 'x', 256, 2, 0, 0, -1, encode_boxes(labelled))
    ledger = Ledger([[answer]])
    assert ledger.class_counts(4).tolist() == [0, 0, 50, 0]
    even = TestMarginMax().select(rows, Budget(5))
    uneven = TestMarginMax().select(rows, Budget(5), ledger=ledger)
    scores = dict(zip(uneven.sample.tolist(), uneven.score.tolist()))
    labels = {s: prediction(s).labels for s in range(1, 6)}
    margins = {s: D.squared_margin(D.renormalised(prediction(s).probs)) for s in labels}
    for s, found in scores.items():
        weights = D.class_weights(np.array([0, 0, 50, 0]))
        assert found == pytest.approx((margins[s] * weights[labels[s]]).max(), rel=1e-5)
    assert not np.allclose(np.sort(even.score), np.sort(uneven.score))


def test_mutual_information_needs_disagreement():
    same = np.tile([[0.3, 0.7]], (4, 2, 1))
    assert D.mutual_information(same) == pytest.approx([0, 0])
    rng = np.random.default_rng(0)
    passes = D.renormalised(rng.random((8, 5, 3)))
    by_loop = [
        D.shannon(passes[:, k].mean(0)) - np.mean([D.shannon(p) for p in passes[:, k]])
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
