acquisition = dict(type='PointUncertainty', metric='entropy')
