# Round 0 trains on the source alone; each round asks one percent of the target's pixels and goes on
# from the weights before.
oracle = dict(type='GroundTruth')
budget = dict(per_round=1, unit='percent')
rounds = dict(
    count=6, iterations=[450, *[140] * 5], start='previous', metric='mIoU',
    initial=dict(source=True))
