# One percent of the points as whole random frames, then one percent in each of four rounds. Once
# regions are answered, little of a scan is shown to the trainer, and more scans fit into a batch.
budget = dict(per_round=1, unit='percent')
rounds = dict(
    count=5, iterations=[600, *[300] * 4], start='previous', metric='mIoU',
    later=dict(
        optim_wrapper=dict(optimizer=dict(lr=2e-3)), train_dataloader=dict(batch_size=6)),
    initial=dict(
        acquisition=dict(type='Composed', unit=dict(type='Image'), score='Random'),
        budget=dict(per_round=1, unit='percent')))
