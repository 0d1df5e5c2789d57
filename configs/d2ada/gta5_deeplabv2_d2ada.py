# D2ADA (Wu et al., ECCV 2022), GTA5 to Cityscapes, DeepLabV2 R101: about 40 regions per image, 1 % per round.
_base_ = [
    '../_base_/models/deeplabv2_r101.py', '../_base_/datasets/gta5_cityscapes.py',
    '../_base_/schedule/d2ada_rounds.py', '../_base_/acquisition/d2ada_published.py']
