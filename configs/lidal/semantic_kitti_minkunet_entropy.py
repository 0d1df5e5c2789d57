_base_ = [
    '../_base_/models/minkunet.py', '../_base_/datasets/semantic_kitti.py',
    '../_base_/acquisition/clusters_entropy.py', '../_base_/schedule/lidal_rounds.py']
acquisition = dict(passes=8)
