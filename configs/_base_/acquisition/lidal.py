acquisition = dict(type='InterFrame', unit=dict(type='BalancedClusters', n_regions=20))
