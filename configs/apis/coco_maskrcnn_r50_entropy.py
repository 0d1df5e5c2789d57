# Mask R-CNN R50-FPN on COCO, taught by points as PointSup (Cheng et al., CVPR 2022) does, and asked as
# APIS does; 16 images per batch (8 processes of 2).
_base_ = [
    'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    '../_base_/acquisition/points_entropy.py', '../_base_/schedule/apis_rounds.py']
model = dict(roi_head=dict(mask_head=dict(type='PointSupMaskHead')))
