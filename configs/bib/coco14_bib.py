# BiB on COCO 2014 at the published settings.
_base_ = [
    '../_base_/models/mist_vgg16.py', '../_base_/datasets/coco14_proposals.py',
    '../_base_/acquisition/bib.py']
model = dict(roi_head=dict(num_classes=80), test_cfg=dict(rcnn=dict(score_thr=0.0)))
# BiB's schedule: SGD, 0.01 for the base, a constant 4e-4 with 50 iterations of warm-up after it.
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=130000, val_interval=130000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=200, by_epoch=False),
    dict(type='MultiStepLR', milestones=[90000, 120000], gamma=0.1, by_epoch=False, begin=0, end=130000),
]
rounds = dict(
    count=6, iterations=[130000, *[1200 * c for c in range(1, 6)]], start='initial', metric='coco/bbox_mAP_50',
    later=dict(
        optim_wrapper=dict(optimizer=dict(lr=4e-4)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False)]),
    initial=dict(
        acquisition=dict(type='ImageTags'), budget=dict(per_round=100, unit='percent')))
budget = dict(per_round=160, unit='units')
oracle = dict(type='GroundTruth')
