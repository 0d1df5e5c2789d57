# The ceiling: everything is labelled, same model, same schedule.
_base_ = ['./streets_random.py']
rounds = dict(
    count=1,
    initial=dict(
        acquisition=dict(type='Composed', unit=dict(type='Image'), score=dict(type='Random')),
        budget=dict(per_round=100, unit='percent')))
