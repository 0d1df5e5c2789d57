# ReDAL as LiDAL ran it: 1 x mean over the classes of the entropy in bits + 0.05 x surface variation.
# Only ratios count here, so the entropy in nats stays and 0.05 is times ln 2 and the classes. The
# seeds of the supervoxels are 10 m apart.
acquisition = dict(
    type='Composed', unit=dict(type='Supervoxels', spacing=10.0), prefilter=0.1,
    score=[dict(type='Entropy'), dict(type='SurfaceVariation', weight=0.05 * 0.6931 * 19)],
    sampler=dict(type='DiversityAware', n_clusters=150))
