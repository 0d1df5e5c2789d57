# The ceiling: every image has its boxes, trained as long as round 0 and the last round together.
_base_ = ['./parts_u_random.py']
rounds = dict(
    _delete_=True, count=1, iterations=1300, metric='coco/bbox_mAP_50',
    initial=dict(budget=dict(per_round=100, unit='percent')))
