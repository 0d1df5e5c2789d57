# RIPU's pixels at 1024 x 2048: impurity of 65 x 65 windows times the pixel's own entropy; a pixel
# blocks its window for good.
acquisition = dict(
    type='PixelUncertainty', score=dict(type='RIPU', radius=32, uncertainty_radius=0),
    per_image=21, min_distance=33)
