# The generated LiDAR world with a network small enough for two CPU cores.
_base_ = ['./runtime.py']
sandbox = dict(
    world='town', root='data/town', metric='mIoU',
    spec=dict(seed=0, n_train_sequences=24, frames=40),
    budget=dict(per_round=1, unit='percent'))
default_scope = 'dense_al'
data = dict(type='ScanDataset', format='semantic_kitti', root='data/town', label_map='data/town/town.yaml')
voxelize = dict(type='Voxelize', size=0.2)
train_pipeline = [dict(type='NearLabels', margin=1.0), dict(type='Augment', jitter=0.05), voxelize]
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(**data, split='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**data, split='valid', pipeline=[voxelize]))
test_dataloader = val_dataloader
val_evaluator = dict(type='ScanIoU')
test_evaluator = val_evaluator
model = dict(
    type='ScanSegmentor', num_classes=13,
    backbone=dict(type='SparseUNet', channels=(16, 16, 32, 32, 32, 16, 16), blocks=1))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-3))
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=400, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=400, val_interval=400)
