acquisition = dict(type='Composed', unit=dict(type='Image'), score='Margin')
