acquisition = dict(type='PixelUncertainty', score='Random', per_image=10)
