_base_ = ['./weak_entropy_max.py']
acquisition = dict(aggregate='sum')
