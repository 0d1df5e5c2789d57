# D2ADA (Wu et al., ECCV 2022), SYNTHIA to Cityscapes, 16 classes, DeepLabV3+ R101: about 40 regions per image, 1 % per round.
_base_ = [
    '../_base_/models/deeplabv3plus_r101.py', '../_base_/datasets/synthia_cityscapes.py',
    '../_base_/schedule/d2ada_rounds.py', '../_base_/acquisition/d2ada_published.py']
model = dict(decode_head=dict(num_classes=16))
