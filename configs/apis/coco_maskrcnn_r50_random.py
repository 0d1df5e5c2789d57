_base_ = ['./coco_maskrcnn_r50_entropy.py']
acquisition = dict(metric='random')
