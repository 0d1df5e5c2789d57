_base_ = [
    '../_base_/sandbox/streets.py', '../_base_/acquisition/pixels_random.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/pixel_rounds.py']
