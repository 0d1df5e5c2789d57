# The generated glyph world with a YOLOv3 small enough for two CPU cores: a ResNet of three stages in
# the place of Darknet, and two scales, as glyphs are 10 to 40 pixels large.
_base_ = ['./glyphs_world.py']
checkpoint = 'data/glyphs_yolo_backbone.pth'
sandbox = dict(pretrain=dict(checkpoint=checkpoint))
model = dict(
    type='YOLOV3',
    backbone=dict(
        num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(1, 2),
        init_cfg=dict(checkpoint=checkpoint)),
    neck=dict(
        type='YOLOV3Neck', num_scales=2, in_channels=[64, 32], out_channels=[64, 48],
        norm_cfg={{_base_.norm_cfg}}),
    bbox_head=dict(
        type='YOLOV3Head', num_classes=10, in_channels=[64, 48], out_channels=[96, 96],
        norm_cfg={{_base_.norm_cfg}}, featmap_strides=[16, 8],
        anchor_generator=dict(
            type='YOLOAnchorGenerator', strides=[16, 8],
            base_sizes=[[(20, 31), (24, 36)], [(12, 20), (16, 26)]]),
        bbox_coder=dict(type='YOLOBBoxCoder'),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, reduction='sum'),
        loss_conf=dict(type='CrossEntropyLoss', use_sigmoid=True, reduction='sum'),
        loss_xy=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=2.0, reduction='sum'),
        loss_wh=dict(type='MSELoss', loss_weight=2.0, reduction='sum')),
    train_cfg=dict(
        assigner=dict(type='GridAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0)),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.05, conf_thr=0.005,
        nms=dict(type='nms', iou_threshold=0.45), max_per_img=50))
optim_wrapper = dict(optimizer=dict(lr=4e-3))
