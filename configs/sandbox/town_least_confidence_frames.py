_base_ = [
    '../_base_/sandbox/town.py', '../_base_/acquisition/frames_least_confidence.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/town_frames.py']
