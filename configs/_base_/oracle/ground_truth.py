oracle = dict(type='GroundTruth')
