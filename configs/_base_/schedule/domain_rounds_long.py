# Three times as long for each round of the target as `domain_rounds.py`.
_base_ = ['./domain_rounds.py']
rounds = dict(iterations=[600, *[1200] * 5])
