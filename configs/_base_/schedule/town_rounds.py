# One percent of the points as whole random frames, then one percent in each of four rounds.
budget = dict(per_round=1, unit='percent')
rounds = dict(
    count=5, iterations=400, start='previous', metric='mIoU',
    later=dict(optim_wrapper=dict(optimizer=dict(lr=2e-3))),
    initial=dict(
        acquisition=dict(type='Composed', unit=dict(type='Image'), score='Random'),
        budget=dict(per_round=1, unit='percent')))
