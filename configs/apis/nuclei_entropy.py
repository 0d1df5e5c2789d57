# Nuclei in fluorescence microscopy, from scratch: P0 to P5. DENSE_AL_REAL_DATA is the folder that
# holds dsb2018_nuclei.
_base_ = [
    '../_base_/sandbox/glyphs_masks.py', '../_base_/acquisition/points_entropy.py',
    '../_base_/schedule/point_rounds.py']
sandbox = None
root = '{{$DENSE_AL_REAL_DATA:data}}/dsb2018_nuclei'
data = dict(
    data_root=root, metainfo=dict(classes=('nucleus',), palette=[(230, 190, 40)]),
    data_prefix=dict(img='images/'))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomCrop', crop_size=(128, 128), allow_negative_crop=False),
    dict(type='RandomFlip', prob=[0.33, 0.33], direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 256), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        **data, ann_file='instances_fluorescence_train.json', pipeline=train_pipeline,
        filter_cfg=dict(filter_empty_gt=True)))
val_dataloader = dict(
    batch_size=2,
    dataset=dict(**data, ann_file='instances_fluorescence_val.json', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=root + '/instances_fluorescence_val.json', proposal_nums=(100, 200, 300))
test_evaluator = val_evaluator
model = dict(
    data_preprocessor=dict(mean=[25.0, 25.0, 25.0], std=[40.0, 40.0, 40.0]),
    backbone=dict(init_cfg=None), bbox_head=dict(num_classes=1),
    test_cfg=dict(nms_pre=600, max_per_img=200))
# The dynamic layers of so small a mask branch die at the full rate in some seeds.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={
    'controller': dict(lr_mult=0.3), 'mask_head': dict(lr_mult=0.3)}))
rounds = dict(
    iterations=[300, *[60] * 5],
    later=dict(param_scheduler=[
        dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=0, end=60, by_epoch=False)]))
