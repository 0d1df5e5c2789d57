_base_ = ['./nuclei_entropy.py']
acquisition = dict(metric='mutual_information')
