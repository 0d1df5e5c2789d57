# The generated street world in its two domains: sunny synthetic streets with all labels, and a larger
# target, which is asked by region.
_base_ = ['./streets.py']
sandbox = dict(root='data/streets_domains', spec=dict(n_train=600))
train_dataloader = dict(dataset=dict(data_root='data/streets_domains'))
val_dataloader = dict(dataset=dict(data_root='data/streets_domains'))
test_dataloader = dict(dataset=dict(data_root='data/streets_domains'))
source = dict(
    share=0.25,
    dataset=dict(
        type='BaseSegDataset', data_root='data/streets_domains',
        metainfo=dict(classes={{_base_.classes}}, palette={{_base_.palette}}),
        img_suffix='_leftImg8bit.png', seg_map_suffix='_gtFine_labelTrainIds.png',
        data_prefix=dict(img_path='leftImg8bit/source', seg_map_path='gtFine/source'),
        pipeline={{_base_.train_pipeline}}))
