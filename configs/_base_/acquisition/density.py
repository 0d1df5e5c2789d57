acquisition = dict(type='DensityAware', unit=dict(type='Superpixels', n_segments=64), alpha=1.0, beta=0.0)
