"""A type means the same with its scope in front of it."""

import pytest

from dense_al.adapters import mmdet, mmseg_config, surgery
from dense_al.datasets.pipelines import annotation_loader, with_points, without_annotations
from dense_al.datasets.segmentation import with_answered_crops
from dense_al.registry import ConfigError


def test_what_packs_keeps_which_sample_it_is():
    for name in ('PackDetInputs', 'mmdet.PackDetInputs', 'mmseg.PackSegInputs'):
        (step,) = surgery.image_pipeline([dict(type=name)])
        assert step['meta_keys'][-1] == 'sample'


def test_steps_that_open_labels_are_known():
    steps = [dict(type='mmdet.LoadAnnotations'), dict(type='mmseg.RandomCrop')]
    assert [s['type'] for s in without_annotations(steps)] == ['mmseg.RandomCrop']
    assert annotation_loader(steps)['type'] == 'mmdet.LoadAnnotations'
    assert with_answered_crops(steps)[1]['type'] == 'AnsweredCrop'
    packs = [dict(type='mmdet.LoadAnnotations'), dict(type='mmdet.PackDetInputs')]
    names = [step['type'] for step in with_points(packs)]
    assert names[1:] == ['LoadPoints', 'ProjectPoints', 'PackPointInputs']


def test_norms_of_several_processes_are_known():
    model = dict(norm_cfg=dict(type='mmengine.SyncBN'))
    surgery.local_norms(model)
    assert model['norm_cfg']['type'] == 'BN'


def test_metrics_are_known_beforehand():
    with pytest.raises(ConfigError, match='Did you mean `mIoU`'):
        mmseg_config.check_metric(dict(type='mmseg.IoUMetric'), 'mIou')
    with pytest.raises(ConfigError, match='Did you mean `coco/bbox_mAP`'):
        mmdet.check_metric(dict(type='mmdet.CocoMetric'), 'coco/bbox_map')
    with pytest.raises(ConfigError, match='Unknown `val_evaluator.metric` None'):
        mmdet.check_metric(dict(type='CocoMetric', metric=None), 'coco/bbox_mAP')
    with pytest.raises(ConfigError, match='pascal_voc/mAP'):
        mmdet.check_metric(dict(type='mmdet.VOCMetric'), 'voc/mAP')
