# MinkUNet in the widths of LiDAL; Adam at 1e-3 throughout.
_base_ = ['../sandbox/runtime.py']
default_scope = 'dense_al'
model = dict(type='ScanSegmentor', num_classes=19, backbone=dict(type='SparseUNet'))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=20000, val_interval=20000)
val_evaluator = dict(type='ScanIoU')
test_evaluator = val_evaluator
