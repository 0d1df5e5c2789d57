_base_ = ['./proposals.py']
data = dict(type='CocoDataset', data_root='data/coco/')
train_dataloader = dict(dataset=dict(
    **data, data_prefix=dict(img='train2014/'), ann_file='annotations/instances_train2014.json',
    proposal_file='proposals/coco_2014_train.pkl'))
val_dataloader = dict(dataset=dict(
    **data, data_prefix=dict(img='val2014/'), ann_file='annotations/instances_val2014.json',
    proposal_file='proposals/coco_2014_val.pkl'))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric', ann_file='data/coco/annotations/instances_val2014.json', metric='bbox')
test_evaluator = val_evaluator
