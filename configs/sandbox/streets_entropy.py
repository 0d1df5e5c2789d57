_base_ = [
    '../_base_/sandbox/streets.py', '../_base_/acquisition/superpixel_entropy.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/five_rounds.py']
