# Where whole frames are answered all of a scan has labels.
_base_ = ['./town_rounds.py']
rounds = dict(
    iterations=[600, *[300] * 4],
    later=dict(
        optim_wrapper=dict(optimizer=dict(lr=2e-3)), train_dataloader=dict(batch_size=6)))
