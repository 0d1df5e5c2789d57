# The ceiling: all labels of the stained tissue, as many iterations as all rounds together.
_base_ = ['./nuclei_random.py']
rounds = dict(count=1, iterations=[800], initial=dict(
    _delete_=True, budget=dict(per_round=100, unit='percent')))
