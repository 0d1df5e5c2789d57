acquisition = dict(
    type='BoxUncertainty', score='MutualInformation', aggregate='sum', weight='class',
    score_thr=0.3, passes=10)
