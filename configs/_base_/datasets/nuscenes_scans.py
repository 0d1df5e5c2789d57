# nuScenes lidarseg: the scenes of two lists, one name per line, which the devkit's `splits.py` has.
voxelize = dict(type='Voxelize', size=0.05)
data = dict(type='ScanDataset', format='nuscenes', root='data/nuscenes', version='v1.0-trainval')
train_dataloader = dict(
    batch_size=15, num_workers=4, persistent_workers=True,
    dataset=dict(
        **data, split_file='data/nuscenes/train.txt', pipeline=[dict(type='Augment'), voxelize]))
val_dataloader = dict(
    batch_size=1, num_workers=4, persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**data, split_file='data/nuscenes/val.txt', pipeline=[voxelize]))
test_dataloader = val_dataloader
