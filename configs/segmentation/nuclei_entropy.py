# Stained tissue of the Data Science Bowl 2018; DENSE_AL_REAL_DATA is the folder that holds
# dsb2018_nuclei.
_base_ = [
    '../_base_/sandbox/streets.py', '../_base_/acquisition/superpixel_entropy.py',
    '../_base_/oracle/ground_truth.py']
custom_imports = dict(imports=['dense_al.datasets.nuclei'])
sandbox = None
root = '{{$DENSE_AL_REAL_DATA:data}}/dsb2018_nuclei'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotationsFromInstances'),
    dict(type='RandomCrop', crop_size=(256, 256)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotationsFromInstances'),
    dict(type='PackSegInputs'),
]
data = dict(
    _delete_=True, type='NucleiDataset', data_root=root,
    data_prefix=dict(img_path='images', seg_map_path='instance_png'))
train_dataloader = dict(
    dataset=dict(**data, ann_file='instances_histology_train.json', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        **data, ann_file='instances_histology_val.json', pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
model = dict(
    data_preprocessor=dict(size=(256, 256), size_divisor=None),
    decode_head=dict(
        num_classes=2, loss_decode=dict(_delete_=True, type='CrossEntropyLoss')))
budget = dict(per_round=1, unit='percent')
rounds = dict(count=5, iterations=300, start='scratch', metric='mIoU')
