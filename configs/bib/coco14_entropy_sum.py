_base_ = ['./coco14_entropy_max.py']
acquisition = dict(aggregate='sum')
