_base_ = [
    '../_base_/models/minkunet.py', '../_base_/datasets/nuscenes_scans.py',
    '../_base_/acquisition/clusters_redal.py', '../_base_/schedule/lidal_rounds.py']
model = dict(num_classes=16)
acquisition = dict(
    passes=8,
    score=[dict(type='Entropy'), dict(type='SurfaceVariation', weight=0.05 * 0.6931 * 16)])
