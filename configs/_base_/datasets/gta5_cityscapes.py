# GTA5 to Cityscapes, 19 classes.
_base_ = ['./cityscapes_target.py']
source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotationsFromIds', ids='cityscapes'),
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.5, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(512, 1024), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
source = dict(
    share=0.5, unlabelled='first',
    dataset=dict(type='GTA5Dataset', data_root='data/gta5/', pipeline=source_pipeline))
