# What bounds a round is `acquisition.per_image`; the first pixels are random ones, as many.
budget = dict(per_round=100, unit='percent')
rounds = dict(count=5, iterations=300, start='scratch', metric='mIoU')
