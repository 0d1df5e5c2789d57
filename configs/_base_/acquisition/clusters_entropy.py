acquisition = dict(type='Composed', unit=dict(type='BalancedClusters', n_regions=20), score='Entropy')
