budget = dict(per_round=50, unit='units')
rounds = dict(
    count=5, iterations=600, start='scratch', metric='coco/bbox_mAP_50',
    initial=dict(budget=dict(per_round=100, unit='units')))
