_base_ = [
    '../_base_/sandbox/glyphs_yolo.py', '../_base_/acquisition/boxes_entropy.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/glyph_rounds.py']
