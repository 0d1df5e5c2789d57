acquisition = dict(type='ImageCoreSet')
