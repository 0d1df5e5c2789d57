# The generated glyph world with a RetinaNet small enough for two CPU cores.
_base_ = ['./glyphs_world.py']
model = dict(
    type='RetinaNet',
    neck=dict(type='FPN', in_channels=[32, 64, 128], out_channels=48, num_outs=3, norm_cfg={{_base_.norm_cfg}}),
    bbox_head=dict(
        type='RetinaHead', num_classes=10, in_channels=48, feat_channels=48, stacked_convs=2,
        norm_cfg={{_base_.norm_cfg}},
        anchor_generator=dict(
            type='AnchorGenerator', scales=[2.0, 2.8], ratios=[0.7, 1.4], strides=[8, 16, 32]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='SmoothL1Loss', beta=0.1, loss_weight=1.0)),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0,
            ignore_iof_thr=-1),
        sampler=dict(type='PseudoSampler'), allowed_border=-1, pos_weight=-1, debug=False),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=50))
