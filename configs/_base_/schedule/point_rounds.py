# Every object has its box and one random point; five rounds ask one more point of each. As in APIS
# points weigh little at first, where with a large weight the small mask branch dies.
budget = dict(per_round=1, unit='per_object')
oracle = dict(type='GroundTruth', points=1)
rounds = dict(
    count=6, iterations=[600, *[150] * 5], start='previous', metric='coco/segm_mAP',
    initial=dict(budget=dict(per_round=100, unit='percent')),
    later=dict(
        model=dict(mask_head=dict(point_weight=1.0)),
        param_scheduler=[
            dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=0, end=150, by_epoch=False)]))
