# Full masks of some objects beside points of all: each round asks the masks of the most uncertain.
_base_ = [
    '../_base_/sandbox/glyphs_masks.py', '../_base_/acquisition/masks_entropy.py',
    '../_base_/schedule/point_rounds.py']
budget = dict(per_round=0.02)
