# PointSup (Cheng et al., CVPR 2022): ten random points of each object, five of them in an iteration.
# No round asks for more.
_base_ = ['./coco_maskrcnn_r50_random.py']
model = dict(roi_head=dict(mask_head=dict(n_points=5)))
oracle = dict(points=10)
rounds = dict(count=1, iterations=[90000])
