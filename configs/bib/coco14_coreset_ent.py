_base_ = ['./coco14_bib.py']
acquisition = dict(_delete_=True, type='ImageCoreSet', weight='entropy', score_thr=0.0)
