# APIS (Li et al., ECCV 2022): every object has its box and one random point; each round asks one more
# point of each and goes on from the weights before.
oracle = dict(type='GroundTruth', points=1)
budget = dict(per_round=1, unit='per_object')
rounds = dict(
    count=10, iterations=[90000, *[30000] * 9], start='previous', metric='coco/segm_mAP',
    initial=dict(budget=dict(per_round=100, unit='percent')),
    later=dict(param_scheduler=[
        dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
        dict(type='MultiStepLR', by_epoch=False, begin=0, end=30000, milestones=[10000, 20000], gamma=0.1)]))
