# The ceiling: every object has its whole mask, as many iterations as all rounds together.
_base_ = ['./masks_random.py']
oracle = dict(points=None)
rounds = dict(count=1, iterations=[1350])
