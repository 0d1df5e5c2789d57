acquisition = dict(
    type='Composed', unit=dict(type='Superpixels', n_segments=64), sampler='ClassMixtures')
