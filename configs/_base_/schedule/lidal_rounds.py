# LiDAL: one percent of the points as whole random frames, then one percent in each of four rounds;
# every round goes on from the weights before, with a fresh optimizer and a constant learning rate.
oracle = dict(type='GroundTruth')
budget = dict(per_round=1, unit='percent')
rounds = dict(
    count=5, iterations=20000, start='previous', metric='mIoU', checkpoint_interval=2000,
    initial=dict(
        acquisition=dict(type='Composed', unit=dict(type='Image'), score='Random'),
        budget=dict(per_round=1, unit='percent')))
