# YOLOv3 with Darknet-20 on MNIST-Det: 100 images, then 50 per round, 35,000 iterations.
# Not published: the COCO weights of Darknet-20. The backbone therefore begins at random and learns
# its batch statistics; give backbone.init_cfg and norm_eval=True where you have weights.
_base_ = ['../_base_/sandbox/published.py']
custom_imports = dict(imports=['dense_al.models.darknet'])
model = dict(
    type='YOLOV3', data_preprocessor={{_base_.preprocessor}},
    backbone=dict(type='ShallowDarknet', depth=20, out_indices=(3, 4, 5), norm_eval=False),
    neck=dict(
        type='YOLOV3Neck', num_scales=3, in_channels=[512, 256, 128], out_channels=[256, 128, 64]),
    bbox_head=dict(
        type='YOLOV3Head', num_classes=10, in_channels=[256, 128, 64],
        out_channels=[512, 256, 128], featmap_strides=[32, 16, 8],
        anchor_generator=dict(
            type='YOLOAnchorGenerator', strides=[32, 16, 8],
            base_sizes=[
                [(116, 90), (156, 198), (373, 326)], [(30, 61), (62, 45), (59, 119)],
                [(10, 13), (16, 30), (33, 23)]]),
        bbox_coder=dict(type='YOLOBBoxCoder'),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, reduction='sum'),
        loss_conf=dict(type='CrossEntropyLoss', use_sigmoid=True, reduction='sum'),
        loss_xy=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=2.0, reduction='sum'),
        loss_wh=dict(type='MSELoss', loss_weight=2.0, reduction='sum')),
    train_cfg=dict(
        assigner=dict(type='GridAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0)),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.0, conf_thr=0.0,
        nms=dict(type='nms', iou_threshold=0.45), max_per_img=100))
optim_wrapper = dict(optimizer=dict(lr=0.01, weight_decay=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=2000, by_epoch=False),
    dict(type='MultiStepLR', milestones=[25000, 32500], gamma=0.1, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=35000, val_interval=35000)
acquisition = dict(nms_iou=0.45)
budget = dict(per_round=50, unit='units')
rounds = dict(
    count=8, iterations=35000, start='scratch', metric='coco/bbox_mAP_50',
    initial=dict(budget=dict(per_round=100, unit='units')))
