acquisition = dict(type='BoxInBox')
