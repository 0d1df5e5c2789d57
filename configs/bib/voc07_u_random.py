_base_ = ['./voc07_bib.py']
acquisition = dict(_delete_=True, type='Composed', unit=dict(type='Image'), score=dict(type='Random'))
