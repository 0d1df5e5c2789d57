_base_ = [
    '../_base_/sandbox/town.py', '../_base_/acquisition/clusters_redal.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/town_rounds.py']
acquisition = dict(
    unit=dict(spacing=8.0),
    score=[dict(type='Entropy'), dict(type='SurfaceVariation', weight=0.05 * 0.6931 * 13)])
