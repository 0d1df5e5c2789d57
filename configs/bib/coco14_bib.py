# BiB on COCO 2014 at the published settings, but for the threshold of the first cycle (0.5 there, for
# speed; 0.1 here as in the others).
_base_ = [
    '../_base_/models/mist_vgg16.py', '../_base_/datasets/coco14_proposals.py',
    '../_base_/acquisition/bib.py', '../_base_/schedule/bib_rounds.py']
model = dict(roi_head=dict(num_classes=80), test_cfg=dict(rcnn=dict(score_thr=0.0)))
train_cfg = dict(max_iters=130000, val_interval=130000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1 / 3, begin=0, end=500, by_epoch=False),
    dict(
        type='MultiStepLR', milestones=[90000, 120000], gamma=0.1, by_epoch=False, begin=0,
        end=130000),
]
rounds = dict(
    iterations=[130000, *[1200 * c for c in range(1, 6)]], metric='coco/bbox_mAP_50')
budget = dict(per_round=160)
