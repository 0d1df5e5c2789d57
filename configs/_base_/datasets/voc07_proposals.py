_base_ = ['./proposals.py']
data = dict(
    type='VOCDataset', data_root='data/VOCdevkit/', data_prefix=dict(sub_data_root='VOC2007/'))
train_dataloader = dict(dataset=dict(
    **data, ann_file='VOC2007/ImageSets/Main/trainval.txt',
    proposal_file='proposals/voc_2007_trainval.pkl'))
val_dataloader = dict(dataset=dict(
    **data, ann_file='VOC2007/ImageSets/Main/test.txt',
    proposal_file='proposals/voc_2007_test.pkl'))
test_dataloader = val_dataloader
val_evaluator = dict(type='VOCMetric', metric='mAP', eval_mode='11points')
test_evaluator = val_evaluator
