_base_ = ['./voc07_entropy_max.py']
acquisition = dict(aggregate='sum')
