# The sandbox of Riedlinger et al. (2212.10836) at its published size, for a GPU.
# From the released code (tobiasriedlinger/al-rapid-prototyping): canvas, glyph sizes and counts,
# 20,000 images to learn from and 2,000 to evaluate on, augmentation, batch, schedules, budgets,
# thresholds, and that each round begins with the pretrained backbone.
# Not from it: digits and letters bundled with packages in the place of MNIST and EMNIST, textures in
# the place of COCO photographs (give sandbox.spec.source='idx', idx_root and backgrounds for those);
# a subset drawn anew each round, of labelled images as well; no validation during training; inputs
# of 320 pixels throughout, where RetinaNet's were 300 (and padded to 320).
# Writing the world takes 25 minutes of one core, once, and 2.2 GB.
_base_ = ['./glyphs_data.py']
root = 'data/glyphs_published'
sandbox = dict(
    world='glyphs', root=root,
    spec=dict(seed=0, side=320, n_train=20000, n_val=2000, scale_low=0.07, scale_high=0.25))
preprocessor = dict(
    type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True, pad_size_divisor=32)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PhotoMetricDistortion'),
    dict(type='Expand', mean=preprocessor['mean'], to_rgb=True, ratio_range=(1, 2)),
    dict(type='MinIoURandomCrop', min_ious=(0.4, 0.5, 0.6, 0.7, 0.8, 0.9), min_crop_size=0.3),
    dict(type='Resize', scale=(320, 320), keep_ratio=True),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 320), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=4, num_workers=4, persistent_workers=True,
    dataset=dict(
        data_root=root, pipeline=train_pipeline, filter_cfg=dict(filter_empty_gt=True)))
val_dataloader = dict(
    num_workers=4, persistent_workers=True, dataset=dict(data_root=root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=root + '/annotations/instances_val.json')
test_evaluator = val_evaluator
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=10))
env_cfg = dict(dist_cfg=dict(backend='nccl'))
acquisition = dict(
    type='BoxUncertainty', score='Entropy', aggregate='sum', weight='class', score_thr=0.5,
    nms_iou=0.5, max_boxes=20, subset=0.1)
oracle = dict(type='GroundTruth')
