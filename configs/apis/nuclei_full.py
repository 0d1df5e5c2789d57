# The ceiling: every nucleus has its whole mask, as many iterations as all rounds together.
_base_ = ['./nuclei_random.py']
oracle = dict(points=None)
rounds = dict(count=1, iterations=[600])
