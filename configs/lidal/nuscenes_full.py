# The ceiling: everything is labelled, as many iterations as one round has.
_base_ = ['./nuscenes_minkunet_random.py']
rounds = dict(count=1, initial=dict(budget=dict(per_round=100)))
