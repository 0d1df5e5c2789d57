# The floor: the source alone, as many iterations as all rounds together.
_base_ = ['./domains_long_random.py']
rounds = dict(count=1, iterations=[6600])
