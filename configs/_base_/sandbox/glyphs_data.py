# The generated glyph world as mmdet's data sets.
_base_ = ['./runtime.py']
default_scope = 'mmdet'
classes = tuple('0123456789')
data = dict(type='CocoDataset', data_root='data/glyphs', metainfo=dict(classes=classes))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **data, ann_file='annotations/instances_train.json', pipeline=train_pipeline,
        data_prefix=dict(img='images/train/'), filter_cfg=dict(filter_empty_gt=False)))
val_dataloader = dict(
    batch_size=16, num_workers=0, persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **data, ann_file='annotations/instances_val.json', pipeline=test_pipeline, test_mode=True,
        data_prefix=dict(img='images/val/')))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric', ann_file='data/glyphs/annotations/instances_val.json', metric='bbox')
test_evaluator = val_evaluator
visualizer = dict(type='DetLocalVisualizer', vis_backends={{_base_.vis_backends}}, name='visualizer')
