# The generated glyph world with a CondInst small enough for two CPU cores, taught by points.
_base_ = ['./glyphs_world.py']
sandbox = dict(metric='coco/segm_mAP')
norm_cfg = dict(type='GN', num_groups=8, requires_grad=True)
model = dict(
    type='CondInst',
    neck=dict(
        type='FPN', in_channels=[32, 64, 128], out_channels=48, num_outs=3,
        norm_cfg={{_base_.norm_cfg}}),
    bbox_head=dict(
        type='CondInstBboxHead', num_params=169, num_classes=10, in_channels=48, feat_channels=48,
        stacked_convs=2, strides=[8, 16, 32], regress_ranges=((-1, 32), (32, 64), (64, 1e8)),
        norm_on_bbox=True, centerness_on_reg=True, dcn_on_last_conv=False, center_sampling=True,
        conv_bias=True, norm_cfg=norm_cfg,
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)),
    mask_head=dict(
        type='PointSupCondInstMaskHead',
        mask_feature_head=dict(
            in_channels=48, feat_channels=48, start_level=0, end_level=1, out_channels=8,
            mask_stride=8, num_stacked_convs=2, norm_cfg=norm_cfg),
        num_layers=3, feat_channels=8, size_of_interest=8, mask_out_stride=4,
        max_masks_to_train=100,
        loss_mask=dict(type='DiceLoss', use_sigmoid=True, activate=True, eps=5e-6, loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(
        nms_pre=300, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6),
        max_per_img=30, mask_thr=0.5))
val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
