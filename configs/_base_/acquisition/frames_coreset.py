# Core-set on the mean features of the frames.
acquisition = dict(type='Composed', unit=dict(type='Image'), sampler='KCenter')
