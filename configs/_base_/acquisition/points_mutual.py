acquisition = dict(type='PointUncertainty', metric='mutual_information')
