acquisition = dict(type='WeakLoss')
