# The small glyph world, a backbone that has seen single glyphs, and how long a round trains; a
# detector is added by the files that build on this one.
_base_ = ['./glyphs_data.py']
sandbox = dict(
    world='glyphs', root='data/glyphs', spec=dict(seed=0, n_train=600, n_val=150),
    pretrain=dict(checkpoint='data/glyphs_backbone.pth'), metric='coco/bbox_mAP_50',
    budget=dict(per_round=8, unit='percent'))
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True, pad_size_divisor=32),
    backbone=dict(
        type='ResNet', depth=18, base_channels=16, stem_channels=16, num_stages=4,
        out_indices=(1, 2, 3), frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False,
        style='pytorch',
        init_cfg=dict(
            type='Pretrained', checkpoint='data/glyphs_backbone.pth', prefix='backbone.')))
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-3, weight_decay=1e-4),
    clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=50, end=600, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=600, val_interval=600)
