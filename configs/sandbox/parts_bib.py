_base_ = [
    '../_base_/sandbox/glyph_parts.py', '../_base_/acquisition/bib.py',
    '../_base_/oracle/ground_truth.py', '../_base_/schedule/weak_rounds.py']
