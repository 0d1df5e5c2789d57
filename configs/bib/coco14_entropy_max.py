_base_ = ['./coco14_bib.py']
acquisition = dict(
    _delete_=True, type='BoxUncertainty', score='Entropy', aggregate='max', background=True, score_thr=0.0,
    nms_iou=0.3, nms_pre=100000, max_boxes=100, per_class=True)
