_base_ = ['./bccd_entropy.py']
acquisition = dict(_delete_=True, type='Composed', unit=dict(type='Image'), score=dict(type='Random'))
