# The glyph world for weak supervision: half of the glyphs are a small part of a larger object, so
# that a detector that knows tags alone boxes the part.
_base_ = ['./glyphs.py']
sandbox = dict(
    _delete_=True, world='glyphs', root='data/glyph_parts',
    spec=dict(seed=0, n_train=600, n_val=150, parts=0.5, mean_count=2, scale_low=0.2),
    pretrain=dict(checkpoint='data/glyph_parts_backbone.pth', window=32),
    proposals=dict(max_boxes=240, grid=(0.22, 0.34, 0.48)), metric='coco/bbox_mAP_50',
    budget=dict(per_round=12, unit='units'))
data_root = 'data/glyph_parts'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadProposals'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadProposals'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape')),
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='LevelSampler', full_share=0.5),
    dataset=dict(data_root=data_root, proposal_file='proposals_train.pkl', pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(data_root=data_root, proposal_file='proposals_val.pkl', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/glyph_parts/annotations/instances_val.json')
test_evaluator = val_evaluator
model = dict(
    _delete_=True,
    type='FastRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True, pad_size_divisor=32),
    backbone=dict(
        type='ResNet', depth=18, base_channels=24, stem_channels=24, num_stages=3,
        strides=(1, 1, 1), dilations=(1, 1, 2), out_indices=(2,), frozen_stages=3,
        norm_cfg=dict(type='BN', requires_grad=True), norm_eval=True, style='pytorch',
        init_cfg=dict(
            type='Pretrained', checkpoint='data/glyph_parts_backbone.pth', prefix='backbone.')),
    roi_head=dict(
        type='WeakRoIHead', num_classes=10, in_channels=96, fc_channels=(256,), dropout=0.0,
        stream_std=0.05, refine_std=0.01,
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor', out_channels=96, featmap_strides=[4],
            roi_layer=dict(type='RoIAlign', output_size=4, sampling_ratio=2)),
        full=dict(count=128)),
    train_cfg=dict(rcnn=dict()),
    test_cfg=dict(rcnn=dict(score_thr=0.01, nms=dict(type='nms', iou_threshold=0.3), max_per_img=50)))
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4),
    clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, begin=0, end=30, by_epoch=False),
    dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=30, end=1000, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1000, val_interval=1000)
