_base_ = [
    '../_base_/sandbox/glyphs_masks.py', '../_base_/acquisition/points_random.py',
    '../_base_/schedule/point_rounds.py']
