acquisition = dict(type='MaskUncertainty', metric='entropy')
