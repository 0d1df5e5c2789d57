# Faster R-CNN with ResNet-18 on EMNIST-Det: 200 images, then 100 per round, 30,000 iterations.
# ImageNet weights of torchvision are downloaded when training begins.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', '../_base_/sandbox/published.py']
root = 'data/letters_published'
classes = tuple('ABCDEFGHIJKLMNOPQRSTUVWXYZ')
sandbox = dict(root=root, spec=dict(source='letters'))
train_dataloader = dict(dataset=dict(data_root=root, metainfo=dict(classes=classes)))
val_dataloader = dict(dataset=dict(data_root=root, metainfo=dict(classes=classes)))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=root + '/annotations/instances_val.json')
test_evaluator = val_evaluator
model = dict(
    backbone=dict(depth=18, init_cfg=dict(checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]),
    roi_head=dict(bbox_head=dict(num_classes=26)))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=500, by_epoch=False),
    dict(type='MultiStepLR', milestones=[25000, 27500], gamma=0.1, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=30000, val_interval=30000)
acquisition = dict(score_thr=0.7)
budget = dict(per_round=100, unit='units')
rounds = dict(
    count=8, iterations=30000, start='scratch', metric='coco/bbox_mAP_50',
    initial=dict(budget=dict(per_round=200, unit='units')))
