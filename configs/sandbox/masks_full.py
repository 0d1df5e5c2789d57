# The ceiling: every object has its whole mask, same model, same iterations.
_base_ = ['./masks_random.py']
oracle = dict(points=None)
rounds = dict(count=1, iterations=[1350])
