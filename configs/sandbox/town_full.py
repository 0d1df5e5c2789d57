# The ceiling: everything is labelled, same model, as many iterations as all rounds together.
_base_ = ['./town_random.py']
rounds = dict(count=1, iterations=[1800], initial=dict(budget=dict(per_round=100, unit='percent')))
