# The street world in its two domains, and the plain loss of the published trainers: with weighted
# classes a query of rare classes counts twice.
_base_ = ['./streets_domains_weighted.py']
model = dict(decode_head=dict(loss_decode=dict(_delete_=True, type='CrossEntropyLoss')))
