# D2ADA with its 40 regions per image, about 52,000 pixels of 1024 x 2048 each. Scikit-image's SLIC merges
# pieces below half of that by default, which leaves 10 to 18 on a noisy picture of this size; with a
# tenth there are 42 to 54 of about 44,000 pixels, and 34 to 61 on generated streets of 512 x 1024.
acquisition = dict(
    type='DensityAware', unit=dict(type='Superpixels', n_segments=40, min_size_factor=0.1))
