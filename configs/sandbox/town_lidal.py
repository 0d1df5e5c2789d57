# The scans of this world are sparse: the same place lies up to 0.3 m from the next frame's points.
_base_ = [
    '../_base_/sandbox/town.py', '../_base_/acquisition/lidal.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/town_rounds.py']
acquisition = dict(max_distance=0.3)
