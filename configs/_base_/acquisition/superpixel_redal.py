acquisition = dict(
    type='Composed', unit=dict(type='Superpixels', n_segments=64), score='Entropy', prefilter=0.1,
    sampler=dict(type='DiversityAware', n_clusters=150))
