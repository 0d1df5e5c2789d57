acquisition = dict(type='PointUncertainty', metric='random')
