# Nuclei: fluorescence (labelled) to stained tissue, which is asked by region. DENSE_AL_REAL_DATA is
# the folder that holds dsb2018_nuclei.
_base_ = ['../segmentation/nuclei_entropy.py']
source = dict(
    share=0.5,
    dataset=dict(
        type='NucleiDataset', data_root='{{$DENSE_AL_REAL_DATA:data}}/dsb2018_nuclei',
        data_prefix=dict(img_path='images', seg_map_path='instance_png'),
        ann_file='instances_fluorescence_train.json', pipeline={{_base_.train_pipeline}}))
acquisition = dict(
    _delete_=True, type='DensityAware', unit=dict(type='Superpixels', n_segments=64))
oracle = dict(type='GroundTruth')
budget = dict(per_round=1, unit='percent')
rounds = dict(
    count=6, iterations=[300, *[100] * 5], start='previous', metric='mIoU',
    initial=dict(source=True))
