_base_ = [
    '../_base_/models/minkunet.py', '../_base_/datasets/nuscenes_scans.py',
    '../_base_/acquisition/frames_random.py', '../_base_/schedule/lidal_rounds.py']
model = dict(num_classes=16)
