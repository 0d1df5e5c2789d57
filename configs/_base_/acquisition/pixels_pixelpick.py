# PixelPick: ten pixels of each image, drawn from the twentieth with the smallest margin.
acquisition = dict(type='PixelUncertainty', score='Margin', per_image=10, top=0.05)
