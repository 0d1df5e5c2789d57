_base_ = ['./gta5_deeplabv3plus_d2ada.py']
acquisition = dict(
    _delete_=True, type='DensityAware', unit={{_base_.acquisition.unit}}, paper_compat=True)
