# The ceiling: everything is labelled, same model; it sees as many whole scans as all rounds of frames
# together.
_base_ = ['./town_random.py']
rounds = dict(count=1, iterations=[4200], initial=dict(budget=dict(per_round=100, unit='percent')))
