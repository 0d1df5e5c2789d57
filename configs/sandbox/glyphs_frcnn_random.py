_base_ = [
    '../_base_/sandbox/glyphs_frcnn.py', '../_base_/acquisition/image_random.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/glyph_rounds.py']
