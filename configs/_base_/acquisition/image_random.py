acquisition = dict(type='Composed', unit=dict(type='Image'), score=dict(type='Random'))
