"""A pool of several mmseg data sets."""

import numpy as np
from PIL import Image

JOINED = """
names = ('train0001', 'train0000', 'train0002')
parts = [
    dict(
        type='BaseSegDataset', data_root='{root}', metainfo={{{{_base_.data.metainfo}}}},
        img_suffix='_leftImg8bit.png', seg_map_suffix='_gtFine_labelTrainIds.png',
        data_prefix=dict(img_path='leftImg8bit/train/' + name, seg_map_path='gtFine/train/' + name),
        pipeline={{{{_base_.train_pipeline}}}}) for name in names]
train_dataloader = dict(
    batch_size=2, dataset=dict(_delete_=True, type='ConcatDataset', datasets=parts))
"""


def test_parts_follow_one_another_and_their_labels_are_read(small_config, world):
    from dense_al.adapters import build_task
    from dense_al.adapters.task import Rounds
    from dense_al.config import load_config

    cfg = load_config(small_config('random', more=JOINED.format(root=world)))
    task = build_task(cfg, Rounds(count=1), partial=True)
    folders = [name.split('/')[0] for name in task.manifest.names]
    assert folders == ['train0001'] * 3 + ['train0000'] * 3 + ['train0002'] * 2
    for sample, path in enumerate(task.manifest.paths):
        label = path.replace('leftImg8bit/', 'gtFine/').replace(
            'leftImg8bit', 'gtFine_labelTrainIds'
        )
        wanted = np.asarray(Image.open(label)).ravel()
        np.testing.assert_array_equal(task.read_label(sample).labels, wanted)


def test_a_joined_pool_runs(small_config, world, tmp_path):
    from dense_al.engine import RunStore
    from dense_al.engine.main import main

    path = small_config('entropy', more=JOINED.format(root=world))
    options = ['--cfg-options', 'rounds.count=2', 'rounds.iterations=2']
    assert main([path, '--work-dir', str(tmp_path / 'run'), *options]) == 0
    assert len(RunStore(tmp_path / 'run').query(0)) > 0
