# SemanticKITTI: sequences 00 to 10 without 08 are the pool, 08 is held out.
voxelize = dict(type='Voxelize', size=0.05)
data = dict(type='ScanDataset', format='semantic_kitti', root='data/semantic_kitti')
train_dataloader = dict(
    batch_size=5, num_workers=4, persistent_workers=True,
    dataset=dict(**data, split='train', pipeline=[dict(type='Augment'), voxelize]))
val_dataloader = dict(
    batch_size=1, num_workers=4, persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**data, split='valid', pipeline=[voxelize]))
test_dataloader = val_dataloader
