# The ceiling: everything is labelled, same model, same length of training.
_base_ = ['./town_random.py']
rounds = dict(count=1, iterations=2000, initial=dict(budget=dict(per_round=100, unit='percent')))
