budget = dict(per_round=2, unit='percent')
rounds = dict(count=5, iterations=300, start='scratch', metric='mIoU')
