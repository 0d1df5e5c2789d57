# The ceiling: everything is labelled, same model, same schedule.
_base_ = ['./glyphs_yolo_random.py']
rounds = dict(count=1, initial=dict(budget=dict(per_round=100, unit='percent')))
