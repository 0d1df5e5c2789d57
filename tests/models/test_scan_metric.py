"""Intersection over union of points."""

import math

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS

from dense_al.models.scan_metric import ScanIoU, confusion

NAMES = ('ground', 'box', 'pole')


def sample(truth, predicted, n=3, dtype=np.uint8):
    probs = torch.nn.functional.one_hot(torch.tensor(predicted), n).float()
    return {'probs': probs, 'point_labels': np.array(truth, dtype)}


def results(*samples, names=NAMES):
    metric = ScanIoU(classes=names)
    for one in samples:
        metric.process(None, [one])
    return metric.evaluate(len(samples))


def test_by_hand():
    found = results(sample([0, 0, 0, 1, 255], [0, 0, 1, 1, 2]), sample([1, 1, 2, 2], [1, 0, 2, 2]))
    # Ground: hit 2, in truth 3, predicted 3. Box: 2, 3, 3. Pole: 2, 2, 2; the ignored one is none.
    expected = {'IoU_ground': 50, 'IoU_box': 50, 'IoU_pole': 100, 'mIoU': 200 / 3}
    assert found == pytest.approx({**expected, 'accuracy': 75})


def test_over_all_scans_and_not_their_mean():
    found = results(sample([0] * 10, [0] * 10), sample([0, 1], [1, 1]))
    assert found['IoU_ground'] == pytest.approx(1000 / 11)


def test_a_class_that_the_truth_lacks_is_left_out():
    found = results(sample([0, 0, 1], [0, 2, 1]))
    assert math.isnan(found['IoU_pole'])
    # The point taken for a pole is missed by the ground.
    assert found['IoU_ground'] == 50 and found['mIoU'] == 75


def test_a_class_that_is_never_predicted_is_zero():
    assert results(sample([0, 2], [0, 0]))['IoU_pole'] == 0


def test_nothing_labelled():
    found = results(sample([255, 255], [0, 1]))
    assert all(math.isnan(value) for value in found.values()) and len(found) == 5


def test_counts_beyond_32_bits():
    metric = ScanIoU(classes=('a', 'b'))
    large = np.array([[2**40, 0], [2**40, 2**41]])
    found = metric.compute_metrics([large, large])
    assert found['accuracy'] == pytest.approx(75)
    assert found['IoU_b'] == pytest.approx(200 / 3)


def test_of_a_config_with_the_names_of_the_data_set():
    evaluator = Evaluator([METRICS.build(dict(type='ScanIoU', prefix='val'))])
    evaluator.dataset_meta = {'classes': NAMES}
    evaluator.process([sample([0, 1], [0, 1]), sample([2], [2])], None)
    # A repeated scan, as a sampler over ranks gives one to fill up, is dropped.
    evaluator.process([sample([0, 1], [1, 0])], None)
    found = evaluator.evaluate(2)
    assert found['val/mIoU'] == 100 and 'val/IoU_box' in found


def test_bad_samples():
    with pytest.raises(ValueError, match=r'`probs` \(N, 3\)'):
        results(sample([0], [0], n=4))
    with pytest.raises(ValueError, match='`truth` in'):
        results(sample([3], [0]))
    with pytest.raises(ValueError, match='one shape'):
        results(sample([0, 1], [0]))
    with pytest.raises(ValueError, match='`classes`'):
        ScanIoU().process(None, [sample([0], [0])])
    with pytest.raises(ValueError, match='`predicted` in'):
        confusion(torch.tensor([0]), torch.tensor([255]), 3)
