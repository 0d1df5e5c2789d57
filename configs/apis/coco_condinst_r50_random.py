_base_ = ['./coco_condinst_r50_entropy.py']
acquisition = dict(metric='random')
