# CondInst R50-FPN on COCO at APIS' settings: 16 images per batch (8 processes of 2), 90k iterations,
# then 30k per round.
_base_ = [
    'mmdet::condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py',
    '../_base_/acquisition/points_entropy.py', '../_base_/schedule/apis_rounds.py']
model = dict(mask_head=dict(type='PointSupCondInstMaskHead', point_weight=0.1))
rounds = dict(later=dict(model=dict(mask_head=dict(point_weight=1.0))))
val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator
