# One click for each superpixel: its most frequent class, for all its pixels.
_base_ = [
    '../_base_/sandbox/streets.py', '../_base_/acquisition/superpixel_random.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/five_rounds.py']
oracle = dict(dominant=True)
