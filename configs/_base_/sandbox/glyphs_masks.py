# Generated glyphs large enough for masks, and a CondInst small enough for two CPU cores that points
# can teach.
_base_ = ['./glyphs_world.py']
root = 'data/glyphs_masks'
backbone_file = 'data/glyphs_masks_backbone.pth'
sandbox = dict(
    root=root, metric='coco/segm_mAP', pretrain=dict(checkpoint=backbone_file),
    spec=dict(seed=0, n_train=300, n_val=100, mean_count=2.5, scale_low=0.25, scale_high=0.5))
norm_cfg = dict(type='GN', num_groups=8, requires_grad=True)
model = dict(
    type='CondInst',
    data_preprocessor=dict(
        type='PointSupDataPreprocessor', mask_stride=2, bottom_pixels_removed=0,
        pairwise_color_thresh=0.3),
    backbone=dict(
        num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(0, 1, 2),
        init_cfg=dict(checkpoint=backbone_file)),
    neck=dict(type='FPN', in_channels=[16, 32, 64], out_channels=48, num_outs=3, norm_cfg=norm_cfg),
    bbox_head=dict(
        type='CondInstBboxHead', num_params=169, num_classes=10, in_channels=48, feat_channels=48,
        stacked_convs=2, strides=[4, 8, 16], regress_ranges=((-1, 20), (20, 36), (36, 1e8)),
        norm_on_bbox=True, centerness_on_reg=True, dcn_on_last_conv=False, center_sampling=True,
        conv_bias=True, norm_cfg=norm_cfg,
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)),
    mask_head=dict(
        type='PointSupCondInstMaskHead',
        mask_feature_head=dict(
            in_channels=48, feat_channels=48, start_level=0, end_level=1, out_channels=8,
            mask_stride=4, num_stacked_convs=2, norm_cfg=norm_cfg),
        num_layers=3, feat_channels=8, size_of_interest=8, mask_out_stride=2,
        boxinst=True, warmup_iters=200, point_weight=0.1, max_masks_to_train=-1, topk_masks_per_img=16,
        loss_mask=dict(type='DiceLoss', use_sigmoid=True, activate=True, eps=5e-6, loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(
        nms_pre=200, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6),
        max_per_img=20, mask_thr=0.5))
train_dataloader = dict(dataset=dict(data_root=root))
val_dataloader = dict(dataset=dict(data_root=root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=root + '/annotations/instances_val.json', metric=['bbox', 'segm'])
test_evaluator = val_evaluator
