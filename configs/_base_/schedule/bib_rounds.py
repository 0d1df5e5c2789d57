# BiB's schedule: SGD, 0.01 for the base, a constant 4e-4 with 50 iterations of warm-up after it.
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=30000, val_interval=30000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1 / 3, begin=0, end=200, by_epoch=False),
    dict(type='MultiStepLR', milestones=[20000, 26700], gamma=0.1, by_epoch=False, begin=0, end=30000),
]
rounds = dict(
    count=6, iterations=[30000, *[300 * c for c in range(1, 6)]], start='initial', metric='pascal_voc/mAP',
    later=dict(
        optim_wrapper=dict(optimizer=dict(lr=4e-4)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=1 / 3, begin=0, end=50, by_epoch=False)]),
    initial=dict(
        acquisition=dict(type='ImageTags'), budget=dict(per_round=100, unit='percent')))
budget = dict(per_round=50, unit='units')
oracle = dict(type='GroundTruth')
