acquisition = dict(type='ClassBalancedRandom')
