_base_ = ['./synthia_deeplabv3plus_d2ada.py']
acquisition = dict(
    _delete_=True, type='Composed', unit=dict(type='Superpixels', n_segments=40), score='Random')
