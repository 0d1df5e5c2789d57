# SYNTHIA to Cityscapes: the 16 classes of SYNTHIA, in both. Others train on 19 classes and average
# over 16 of them; here a pixel of the other three is no pixel of the evaluation. These are the 13
# classes without wall, fence and pole. As in D2ADA, SYNTHIA is shown at the size of Cityscapes alone.
_base_ = ['./cityscapes_target.py']
classes = (
    'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
    'vegetation', 'sky', 'person', 'rider', 'car', 'bus', 'motorcycle', 'bicycle')
train_dataloader = dict(dataset=dict(metainfo=dict(classes=classes)))
val_dataloader = dict(dataset=dict(metainfo=dict(classes=classes)))
test_dataloader = val_dataloader
source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotationsFromIds', ids='synthia'),
    dict(type='Resize', scale=(2048, 1024), keep_ratio=False),
    dict(type='RandomCrop', crop_size=(512, 1024), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
source = dict(
    share=0.5, unlabelled='first',
    dataset=dict(
        type='SynthiaDataset', data_root='data/synthia/', metainfo=dict(classes=classes),
        pipeline=source_pipeline))
