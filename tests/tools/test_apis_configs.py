"""The configs of APIS and PointSup on COCO as it lies on a disk: they load, build and run."""

from pathlib import Path

import pytest

pytest.importorskip('mmdet')

from tiny import write_coco17  # noqa: E402

from dense_al.engine import INITIAL, RunStore  # noqa: E402
from dense_al.engine.main import main  # noqa: E402
from dense_al.structures import Boxes, Instances

ROOT = Path(__file__).resolve().parents[2]
SMALL = """
_base_ = ['{base}']
steps = [dict(type='Resize', scale=(96, 96), keep_ratio=True)]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False),
    *steps, dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), *steps,
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=(
        'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
data = dict(data_root='{root}/')
workers = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    batch_size=2, **workers, dataset=dict(**data, pipeline=train_pipeline))
val_dataloader = dict(**workers, dataset=dict(**data, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{root}/annotations/instances_val2017.json')
test_evaluator = val_evaluator
env_cfg = dict(dist_cfg=dict(backend='gloo'))
model = dict(backbone=dict(init_cfg=None))
rounds = dict(count={count}, iterations={iterations})
"""


@pytest.mark.slow
@pytest.mark.parametrize('name, asked', [('condinst_r50_entropy', 1), ('maskrcnn_r50_entropy', 1)])
def test_a_round_of_the_published_configs(tmp_path, name, asked):
    root = write_coco17(tmp_path)
    config = tmp_path / f'{name}.py'
    base = ROOT / f'configs/apis/coco_{name}.py'
    config.write_text(SMALL.format(base=base, root=root, count=2, iterations=[2, 1]))
    assert main([str(config), '--work-dir', str(tmp_path / 'run')]) == 0
    store = RunStore(tmp_path / 'run')
    objects = [Boxes.decode(a.payload) for a in store.answers(INITIAL)]
    assert all(isinstance(o, Instances) and o.masks is None for o in objects)
    n = sum(len(o) for o in objects)
    assert len(store.query(0)) == asked * n > 0
    assert {a.kind for a in store.answers(0)} == {'point'}
    cost = store.read(0, 'round')['cost']
    assert cost['seconds'] == pytest.approx(0.9 * n) and cost['clicks'] == n
    assert store.read(1, 'train')['value'] >= 0


@pytest.mark.slow
def test_pointsup_asks_ten_points_with_each_box(tmp_path):
    root = write_coco17(tmp_path)
    config = tmp_path / 'pointsup.py'
    base = ROOT / 'configs/apis/coco_maskrcnn_r50_pointsup.py'
    config.write_text(SMALL.format(base=base, root=root, count=1, iterations=[1]))
    assert main([str(config), '--work-dir', str(tmp_path / 'run')]) == 0
    found = [Boxes.decode(a.payload) for a in RunStore(tmp_path / 'run').answers(INITIAL)]
    assert all(o.point_labels.shape == (len(o), 10) for o in found)


@pytest.mark.parametrize('path', sorted((ROOT / 'configs/apis').glob('*.py')), ids=lambda p: p.stem)
def test_configs_load(path):
    from dense_al.config import load_config

    cfg = load_config(path)
    assert cfg['acquisition']['type'] == 'PointUncertainty'
