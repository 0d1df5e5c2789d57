# The published window is a thirty-second of the image's width; so it is here.
_base_ = [
    '../_base_/sandbox/streets.py', '../_base_/acquisition/pixels_ripu.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/pixel_rounds.py']
acquisition = dict(score=dict(radius=3), per_image=10, min_distance=4)
