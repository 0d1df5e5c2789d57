acquisition = dict(
    type='Composed', unit=dict(type='Image'),
    score=dict(type='SegmentEntropy', regions=dict(type='BalancedClusters', n_regions=20)))
