_base_ = ['./nuclei_d2ada.py']
acquisition = dict(
    _delete_=True, type='Composed', unit=dict(type='Superpixels', n_segments=64), score='Random')
