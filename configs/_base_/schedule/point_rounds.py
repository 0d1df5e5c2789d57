# Every object has its box and one random point; five rounds ask one more point of each.
budget = dict(per_round=1, unit='per_object')
oracle = dict(type='GroundTruth', points=1)
rounds = dict(
    count=6, iterations=[600, 150, 150, 150, 150, 150], start='previous', metric='coco/segm_mAP',
    later=dict(param_scheduler=[dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=0, end=150, by_epoch=False)]),
    initial=dict(budget=dict(per_round=100, unit='percent')))
