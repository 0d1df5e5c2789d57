_base_ = ['./town_lidal.py']
acquisition = dict(pseudo=True)
