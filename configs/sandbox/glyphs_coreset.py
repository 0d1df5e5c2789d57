_base_ = [
    '../_base_/sandbox/glyphs.py', '../_base_/acquisition/boxes_coreset.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/glyph_rounds.py']
