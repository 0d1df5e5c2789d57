# The ceiling: all labels of the target, as many iterations as all rounds together.
_base_ = ['./domains_long_random.py']
rounds = dict(count=1, iterations=[6600], initial=dict(
    _delete_=True, budget=dict(per_round=100, unit='percent')))
