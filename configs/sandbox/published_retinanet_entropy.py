# RetinaNet with ResNet-18 on MNIST-Det: 100 images, then 50 per round, 25,000 iterations.
# ImageNet weights of torchvision are downloaded when training begins.
_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', '../_base_/sandbox/published.py']
model = dict(
    backbone=dict(depth=18, init_cfg=dict(checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]), bbox_head=dict(num_classes=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=500, by_epoch=False),
    dict(type='MultiStepLR', milestones=[22500, 24000], gamma=0.1, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=25000, val_interval=25000)
budget = dict(per_round=50, unit='units')
rounds = dict(
    count=8, iterations=25000, start='scratch', metric='coco/bbox_mAP_50',
    initial=dict(budget=dict(per_round=100, unit='units')))
