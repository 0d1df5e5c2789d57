_base_ = ['./synthia_deeplabv2_d2ada.py']
acquisition = dict(
    _delete_=True, type='Composed', unit={{_base_.acquisition.unit}}, score='RIPU')
