_base_ = ['./pandaset_random.py']
acquisition = dict(
    _delete_=True, type='InterFrame', unit=dict(type='BalancedClusters', n_regions=20),
    max_distance=0.1)
