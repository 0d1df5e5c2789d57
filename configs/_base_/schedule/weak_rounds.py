# Round 0 trains on the tags of all images; every later round fine-tunes that model on tags and the
# fully labelled images, longer the more there are.
budget = dict(per_round=12, unit='units')
rounds = dict(
    count=6, iterations=[1000, 100, 150, 200, 250, 300], start='initial',
    metric='coco/bbox_mAP_50',
    later=dict(param_scheduler=[
        dict(type='LinearLR', start_factor=0.02, begin=0, end=20, by_epoch=False)]),
    initial=dict(
        acquisition=dict(type='ImageTags'), budget=dict(per_round=100, unit='percent')))
