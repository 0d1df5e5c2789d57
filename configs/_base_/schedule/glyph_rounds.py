budget = dict(per_round=25, unit='units')
rounds = dict(
    count=5, iterations=500, start='scratch', metric='coco/bbox_mAP_50',
    initial=dict(budget=dict(per_round=50, unit='units')))
