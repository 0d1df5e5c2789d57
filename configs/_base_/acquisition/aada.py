acquisition = dict(type='DomainClassifier', unit=dict(type='Superpixels', n_segments=64))
