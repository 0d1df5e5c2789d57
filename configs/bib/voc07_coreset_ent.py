_base_ = ['./voc07_bib.py']
acquisition = dict(_delete_=True, type='ImageCoreSet', weight='entropy')
