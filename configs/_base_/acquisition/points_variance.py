acquisition = dict(type='PointUncertainty', metric='variance')
