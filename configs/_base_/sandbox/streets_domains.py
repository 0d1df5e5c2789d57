# The generated street world in its two domains: sunny synthetic streets with all labels, and the
# target, which is asked by region.
_base_ = ['./streets.py']
source = dict(
    share=0.5,
    dataset=dict(
        type='BaseSegDataset', data_root='data/streets',
        metainfo=dict(classes={{_base_.classes}}, palette={{_base_.palette}}),
        img_suffix='_leftImg8bit.png', seg_map_suffix='_gtFine_labelTrainIds.png',
        data_prefix=dict(img_path='leftImg8bit/source', seg_map_path='gtFine/source'),
        pipeline={{_base_.train_pipeline}}))
