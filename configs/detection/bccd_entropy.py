# Blood cells, from scratch; DENSE_AL_REAL_DATA is the folder that holds bccd.
_base_ = [
    '../_base_/sandbox/glyphs.py', '../_base_/acquisition/boxes_entropy.py',
    '../_base_/oracle/ground_truth.py']
sandbox = None
root = '{{$DENSE_AL_REAL_DATA:data}}/bccd'
classes = ('RBC', 'WBC', 'Platelets')
palette = [(220, 60, 60), (70, 70, 220), (230, 190, 40)]
data = dict(data_root=root, metainfo=dict(classes=classes, palette=palette), data_prefix=dict(img='images/'))
scale = (256, 192)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(**data, ann_file='instances_train.json', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8, dataset=dict(**data, ann_file='instances_val.json', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=root + '/instances_val.json')
model = dict(backbone=dict(init_cfg=None), bbox_head=dict(num_classes=3))
budget = dict(per_round=10, unit='units')
rounds = dict(
    count=4, iterations=400, start='scratch', metric='coco/bbox_mAP_50',
    initial=dict(budget=dict(per_round=10, unit='units')))
