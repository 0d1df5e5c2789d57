_base_ = [
    '../_base_/sandbox/town.py', '../_base_/acquisition/frames_margin.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/town_frames.py']
