# The floor: boxes alone, as many iterations as all rounds together.
_base_ = ['./nuclei_random.py']
oracle = dict(points=0)
rounds = dict(count=1, iterations=[600])
