# The ceiling: everything is labelled, same model; it sees as many scans as all rounds together.
_base_ = ['./pandaset_random.py']
rounds = dict(
    count=1, iterations=3400, initial=dict(budget=dict(per_round=100, unit='percent')))
