# BiB on VOC 2007 at the published settings.
_base_ = [
    '../_base_/models/mist_vgg16.py', '../_base_/datasets/voc07_proposals.py',
    '../_base_/acquisition/bib.py', '../_base_/schedule/bib_rounds.py']
