"""A whole run of mmengine: train, evaluate, save, and go on with the other backend."""

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch.utils.data import DataLoader, Dataset

import dense_al.models.scan_metric
import dense_al.models.scan_segmentor  # noqa: F401
from dense_al.datasets.voxels import Augment, Voxelize
from dense_al.ops import sparse
from dense_al.testing.scans import toy_scan

pytestmark = pytest.mark.usefixtures('one_thread')
CLASSES = ('ground', 'box')


class Scans(Dataset):
    """Toy scans, augmented for training."""

    metainfo = {'classes': CLASSES}

    def __init__(self, seeds, training):
        self._seeds, self._training = seeds, training

    def __len__(self):
        return len(self._seeds)

    def __getitem__(self, item):
        points, labels = toy_scan(1000, np.random.default_rng(self._seeds[item]))
        scan = {'points': points, 'labels': labels, 'sample': item}
        if not self._training:
            return {**Voxelize(0.5)(scan), 'point_labels': labels}
        rng = np.random.default_rng(item)
        return Voxelize(0.5)(Augment(jitter=0.02)(scan, rng), rng)


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    """Two threads of two processes on two cores are ten times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run(tmp_path):
    def made(backend, name, load_from=None):
        loaders = [
            DataLoader(Scans(seeds, training), batch_size=2, collate_fn=pseudo_collate)
            for seeds, training in ((range(6), True), (range(90, 93), False))
        ]
        torch.manual_seed(0)
        return Runner(
            model=dict(
                type='ScanSegmentor',
                num_classes=2,
                backbone=dict(type='SparseUNet', channels=(16, 16, 16, 16, 16), backend=backend),
            ),
            work_dir=str(tmp_path / name),
            train_dataloader=loaders[0],
            train_cfg=dict(by_epoch=True, max_epochs=4),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.01)),
            val_dataloader=loaders[1],
            val_cfg=dict(),
            val_evaluator=dict(type='ScanIoU'),
            test_dataloader=loaders[1],
            test_cfg=dict(),
            test_evaluator=dict(type='ScanIoU'),
            load_from=load_from,
            default_scope='dense_al',
            experiment_name=f'scan_training_{name}',
            log_level='ERROR',
            randomness=dict(seed=0),
        )

    yield made
    Visualizer._instance_dict.clear()


def test_train_evaluate_and_test_with_the_other_backend(run, tmp_path):
    first, last = sparse.available()[0], sparse.available()[-1]
    runner = run(first, 'one')
    runner.train()
    found = {k: float(v.current()) for k, v in runner.message_hub.log_scalars.items() if 'val' in k}
    assert {'val/mIoU', 'val/accuracy', 'val/IoU_ground', 'val/IoU_box'} <= set(found)
    assert found['val/accuracy'] > 80
    again = run(last, 'two', load_from=str(tmp_path / 'one' / 'epoch_4.pth')).test()
    assert again['mIoU'] == pytest.approx(found['val/mIoU'], abs=0.2)
