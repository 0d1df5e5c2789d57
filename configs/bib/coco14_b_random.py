_base_ = ['./coco14_bib.py']
acquisition = dict(_delete_=True, type='ClassBalancedRandom')
