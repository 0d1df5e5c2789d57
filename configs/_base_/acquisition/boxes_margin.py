acquisition = dict(type='BoxUncertainty', score='Margin', aggregate='sum', weight='class', score_thr=0.3)
