acquisition = dict(type='BoxUncertainty', score='Entropy', aggregate='sum', weight='class', score_thr=0.3)
