# Round 0 trains on the source alone; each round asks one percent of the target's pixels and goes on
# from the weights before, at a lower rate.
oracle = dict(type='GroundTruth')
budget = dict(per_round=1, unit='percent')
rounds = dict(
    count=6, iterations=[600, *[400] * 5], start='previous', metric='mIoU',
    later=dict(optim_wrapper=dict(optimizer=dict(lr=3e-3))), initial=dict(source=True))
