# The generated street world with a model small enough for two CPU cores.
_base_ = ['./runtime.py']
sandbox = dict(
    world='streets', root='data/streets', spec=dict(seed=0), metric='mIoU',
    budget=dict(per_round=2, unit='percent'))
default_scope = 'mmseg'
classes = (
    'road', 'sidewalk', 'building', 'fence', 'pole', 'traffic sign', 'vegetation', 'terrain',
    'sky', 'person', 'car', 'bicycle')
palette = [
    [128, 64, 128], [244, 35, 232], [70, 70, 70], [190, 153, 153], [153, 153, 153],
    [220, 220, 0], [107, 142, 35], [152, 251, 152], [70, 130, 180], [220, 20, 60], [0, 0, 142],
    [119, 11, 32]]
data = dict(
    type='BaseSegDataset', data_root='data/streets', metainfo=dict(classes=classes, palette=palette),
    img_suffix='_leftImg8bit.png', seg_map_suffix='_gtFine_labelTrainIds.png')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **data, pipeline=train_pipeline,
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train')))
val_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **data, pipeline=test_pipeline, test_mode=True,
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val')))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
norm_cfg = dict(type='BN', requires_grad=True)
# The inverse root of how often the classes occur in any of these worlds.
class_weight = [0.6, 1.3, 0.7, 2.6, 2.9, 4.0, 0.9, 2.9, 1.1, 3.8, 1.3, 5.6]
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True, pad_val=0, seg_pad_val=255, size_divisor=16, test_cfg=dict(size_divisor=16)),
    backbone=dict(
        type='UNet', base_channels=16, num_stages=4, strides=(2, 1, 1, 1), norm_cfg=norm_cfg,
        enc_num_convs=(1, 1, 2, 2), dec_num_convs=(1, 1, 1), downsamples=(True, True, True),
        enc_dilations=(1, 1, 1, 1), dec_dilations=(1, 1, 1)),
    decode_head=dict(
        type='FCNHead', in_channels=16, in_index=3, channels=32, num_convs=1, concat_input=False,
        dropout_ratio=0.0, num_classes=12, norm_cfg=norm_cfg, align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', class_weight=class_weight)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=7e-3, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=50, end=300, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=300, val_interval=300)
visualizer = dict(type='SegLocalVisualizer', vis_backends={{_base_.vis_backends}}, name='visualizer')
