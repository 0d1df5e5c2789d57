# MIST on VGG16: the weakly supervised detector of BiB (Vo et al., ECCV 2022).
# As published but for: RoIAlign in the place of RoIPool, no adversarial drop block, the ImageNet
# weights of torchvision (with its normalisation) for both the convolutions and the shared layers.
model = dict(
    type='FastRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True, pad_size_divisor=32),
    backbone=dict(
        type='DilatedVGG', depth=16, frozen_stages=2,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://vgg16')),
    roi_head=dict(
        type='WeakRoIHead', num_classes=20, in_channels=512, fc_channels=(4096, 4096), dropout=0.5,
        shared_init=dict(
            type='Pretrained', checkpoint='torchvision://vgg16', prefix='classifier.'),
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor', out_channels=512, featmap_strides=[8],
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2)),
        weights=(3.0, 1.0, 1.0), share=0.15, iou=0.2, full=dict(count=512, share=0.25)),
    train_cfg=dict(rcnn=dict()),
    test_cfg=dict(
        rcnn=dict(score_thr=0.001, nms=dict(type='nms', iou_threshold=0.3), max_per_img=100)))
