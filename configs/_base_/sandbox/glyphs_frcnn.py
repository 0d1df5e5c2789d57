# The generated glyph world with a Faster R-CNN small enough for two CPU cores.
_base_ = ['./glyphs_world.py']
coder = dict(type='DeltaXYWHBBoxCoder')
model = dict(
    type='FasterRCNN',
    neck=dict(type='FPN', in_channels=[32, 64, 128], out_channels=48, num_outs=3, norm_cfg={{_base_.norm_cfg}}),
    rpn_head=dict(
        type='RPNHead', in_channels=48, feat_channels=48,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[2.0, 2.8], ratios=[0.7, 1.4], strides=[8, 16, 32]),
        bbox_coder=coder,
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
        loss_bbox=dict(type='SmoothL1Loss', beta=0.1)),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor', out_channels=48, featmap_strides=[8, 16, 32],
            roi_layer=dict(type='RoIAlign', output_size=5, sampling_ratio=2)),
        bbox_head=dict(
            type='Shared2FCBBoxHead', in_channels=48, fc_out_channels=256, roi_feat_size=5,
            num_classes=10, reg_class_agnostic=True,
            bbox_coder=dict(**coder, target_stds=[0.1, 0.1, 0.2, 0.2]),
            loss_cls=dict(type='CrossEntropyLoss'), loss_bbox=dict(type='SmoothL1Loss', beta=1.0))),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=0.6, neg_iou_thr=0.3, min_pos_iou=0.3,
                ignore_iof_thr=-1),
            sampler=dict(
                type='RandomSampler', num=64, pos_fraction=0.5, add_gt_as_proposals=False),
            allowed_border=-1, pos_weight=-1, debug=False),
        rpn_proposal=dict(
            nms_pre=150, max_per_img=50, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5,
                match_low_quality=False, ignore_iof_thr=-1),
            sampler=dict(type='RandomSampler', num=32, pos_fraction=0.25, add_gt_as_proposals=True),
            pos_weight=-1, debug=False)),
    test_cfg=dict(
        rpn=dict(
            nms_pre=150, max_per_img=50, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(
            score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=50)))
