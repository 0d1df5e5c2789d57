# DeepLab-V3+ on ResNet-101, output stride 16, with an adversary in the warm-up (adv_weight=0:
# without). As in D2ADA but for mmseg's head: separable convolutions, which there are plain ones; 3 x 3
# where the branches are joined, there 1 x 1; two convolutions behind, there one; and the dropout is in
# front of the last layer, there behind the joined branches.
norm_cfg = dict(type='FrozenBN', requires_grad=False)
model = dict(
    type='AdversarialEncoderDecoder', adv_weight=5e-4,
    discriminator=dict(
        channels=64, lr=2.5e-4, betas=(0.9, 0.99), power=0.9, warmup=0.05, min_lr=1e-6),
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True, pad_val=0, seg_pad_val=255, size=(512, 1024)),
    backbone=dict(
        type='ResNet', depth=101, num_stages=4, out_indices=(0, 1, 2, 3), style='pytorch',
        strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), contract_dilation=True,
        norm_cfg=norm_cfg, norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet101')),
    decode_head=dict(
        type='DepthwiseSeparableASPPHead', in_channels=2048, in_index=3, channels=256,
        dilations=(1, 6, 12, 18), c1_in_channels=256, c1_channels=48, dropout_ratio=0.1,
        num_classes=19, norm_cfg=norm_cfg, align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
