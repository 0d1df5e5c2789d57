# One percent of the points as whole random frames, then one percent in each of four rounds. Once
# regions are answered a twelfth of a scan has labels and the rest is hardly shown to the trainer, so
# that more scans make a batch and a round takes no longer than one of `town_frames.py`.
budget = dict(per_round=1, unit='percent')
rounds = dict(
    count=5, iterations=[600, *[450] * 4], start='previous', metric='mIoU',
    later=dict(
        optim_wrapper=dict(optimizer=dict(lr=4e-3)), train_dataloader=dict(batch_size=24)),
    initial=dict(
        acquisition=dict(type='Composed', unit=dict(type='Image'), score='Random'),
        budget=dict(per_round=1, unit='percent')))
