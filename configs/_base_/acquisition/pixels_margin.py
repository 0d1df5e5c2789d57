acquisition = dict(type='PixelUncertainty', score='Margin', per_image=10)
