acquisition = dict(type='ImageCoreSet', weight='entropy')
