_base_ = [
    '../_base_/sandbox/town.py', '../_base_/acquisition/clusters_entropy.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/town_rounds.py']
