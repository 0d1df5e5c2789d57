# D2ADA's schedule (Wu et al., ECCV 2022): 100,000 iterations of adversarial warm-up on the source,
# then five rounds of one percent of the target's pixels, each 120,000 iterations without adversary,
# from the weights before. The warm-up's rates rise over 5,000 iterations, those of the rounds do not.
# Published with batches of one; the adversary wants one image per domain, and the rounds keep two.
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=100000, val_interval=100000)
param_scheduler = [
    dict(type='LinearLR', start_factor=2e-4, begin=0, end=5000, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=1e-6, begin=0, end=100000, by_epoch=False),
]
oracle = dict(type='GroundTruth')
budget = dict(per_round=1, unit='percent')
rounds = dict(
    count=6, iterations=[100000, *[120000] * 5], start='previous', metric='mIoU',
    initial=dict(source=True),
    later=dict(
        model=dict(adv_weight=0.0),
        param_scheduler=[
            dict(type='PolyLR', power=0.9, eta_min=1e-6, begin=0, end=120000, by_epoch=False)]))
