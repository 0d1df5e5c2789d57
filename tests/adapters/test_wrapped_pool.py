"""Training data of a detector inside wrappers that mix or repeat images."""

import pytest

from dense_al.adapters import surgery
from dense_al.registry import ConfigError

DATA = dict(type='CocoDataset', ann_file='objects.json', pipeline=[dict(type='LoadImageFromFile')])
MIX = [dict(type='mmdet.Mosaic', img_scale=(32, 32)), dict(type='PackDetInputs')]


def config(dataset):
    return dict(train_dataloader=dict(dataset=dataset))


def test_a_wrapper_is_kept_apart_from_the_pool():
    mixed = dict(type='mmdet.MultiImageMixDataset', dataset=DATA, pipeline=MIX)
    cfg = config(dict(type='RepeatDataset', times=3, dataset=mixed))
    assert surgery.pool_datasets(cfg) == [DATA]
    assert surgery.wrapper_of(cfg) == dict(type='mmdet.MultiImageMixDataset', pipeline=MIX)
    assert surgery.repeats(cfg) == 3
    assert surgery.wrapper_of(config(DATA)) is None


def test_wrappers_in_wrappers_are_refused():
    balanced = dict(type='ClassBalancedDataset', oversample_thr=0.5, dataset=DATA)
    mixed = dict(type='MultiImageMixDataset', dataset=balanced, pipeline=MIX)
    with pytest.raises(ConfigError, match='got ClassBalancedDataset in MultiImageMixDataset'):
        surgery.pool_datasets(config(mixed))


def test_a_wrapper_around_one_part_of_several_is_refused():
    parts = [DATA, dict(type='ClassBalancedDataset', oversample_thr=0.5, dataset=DATA)]
    with pytest.raises(ConfigError, match='the wrapper `ClassBalancedDataset`'):
        surgery.pool_datasets(config(dict(type='ConcatDataset', datasets=parts)))


def test_repeats_inside_a_joined_pool_come_off():
    parts = [DATA, dict(type='RepeatDataset', times=2, dataset=DATA)]
    joined = config(dict(type='ConcatDataset', datasets=parts))
    assert surgery.pool_datasets(joined) == [DATA, DATA]


@pytest.mark.parametrize(
    'step',
    [
        dict(type='LoadAnnotations', with_bbox=True, with_seg=True),
        dict(type='mmdet.LoadPanopticAnnotations'),
    ],
)
def test_label_maps_for_a_detector_are_refused_by_name(step):
    from dense_al.adapters.mmdet import check_pipeline

    check_pipeline([dict(type='LoadAnnotations', with_bbox=True, with_mask=True)])
    with pytest.raises(ConfigError, match=f'got `{step["type"].rsplit(".", 1)[-1]}`'):
        check_pipeline([step])


def test_norms_of_several_processes_become_local():
    model = dict(neck=dict(norm_cfg=dict(type='SyncBN')), heads=[dict(type='MMSyncBN', eps=1.0)])
    surgery.local_norms(model)
    assert model == dict(neck=dict(norm_cfg=dict(type='BN')), heads=[dict(type='BN', eps=1.0)])


def test_masks_are_asked_where_a_model_learns_them_without_a_mask_head():
    from dense_al.adapters.mmdet import label_form

    boxes = [dict(type='LoadAnnotations', with_bbox=True)]
    masks = [dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]
    assert label_form(dict(type='RetinaNet'), boxes) == 'boxes'
    assert label_form(dict(type='Mask2Former', panoptic_head=dict()), masks) == 'masks'
    assert label_form(dict(type='CondInst', mask_head=dict(type='CondInstMaskHead')), boxes) == (
        'masks'
    )
