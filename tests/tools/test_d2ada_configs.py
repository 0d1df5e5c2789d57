"""D2ADA's configs run on GTA5, SYNTHIA and Cityscapes as they lie on a disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from domain_layouts import write_cityscapes, write_gta5, write_synthia

from dense_al.engine import RunStore
from dense_al.engine.main import main
from dense_al.structures import Manifest

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'd2ada'
SMALL = """
_base_ = ['{base}']
steps = [
    dict(type='RandomCrop', crop_size=(48, 96)), dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')]
image = [dict(type='LoadImageFromFile')]
workers = dict(num_workers=0, persistent_workers=False)
pool = [*image, dict(type='LoadAnnotations'), *steps]
train_dataloader = dict(**workers, dataset=dict(data_root='{root}', pipeline=pool))
val_dataloader = dict(**workers, dataset=dict(data_root='{root}', pipeline=[
    *image, dict(type='LoadAnnotations'), dict(type='PackSegInputs')]))
test_dataloader = val_dataloader
source = dict(dataset=dict(data_root='{source_root}', pipeline=[
    *image, dict(type='LoadAnnotationsFromIds', ids='{ids}'), *steps]))
env_cfg = dict(dist_cfg=dict(backend='gloo'))
model = dict(
    backbone=dict(depth=18, init_cfg=None), data_preprocessor=dict(size=(48, 96)),
    discriminator=dict(channels=4), decode_head=dict(channels=8, num_classes={n}, {head}))
default_hooks = dict(logger=dict(interval=1))
acquisition = dict(unit=dict(n_segments=16), min_rows=4)
budget = dict(per_round=10)
rounds = dict(count=2, iterations=[4, 2])
"""
HEADS = dict(
    deeplabv2='in_channels=512', deeplabv3plus='in_channels=512, c1_in_channels=64, c1_channels=8'
)


@pytest.mark.parametrize(('model', 'source'), [('deeplabv2', 'gta5'), ('deeplabv3plus', 'synthia')])
def test_warm_up_and_one_round(tmp_path, model, source):
    root, _ = write_cityscapes(tmp_path, train=4, val=2)
    write, ids, n = dict(
        gta5=(write_gta5, 'cityscapes', 19), synthia=(write_synthia, 'synthia', 16)
    )[source]
    source_root, _ = write(tmp_path, 3)
    path, work_dir = tmp_path / 'leaf.py', tmp_path / 'run'
    base = CONFIGS / f'{source}_{model}_d2ada.py'
    given = dict(
        base=base, root=root, source_root=source_root, ids=ids, n=n, head=HEADS[model])  # fmt: skip
    path.write_text(SMALL.format(**given))
    assert main([str(path), '--work-dir', str(work_dir)]) == 0
    store = RunStore(work_dir)
    manifest = Manifest.load(work_dir / 'manifest.parquet')
    assert manifest.n_pool == 4 and len(manifest) == 7
    answers = store.answers(0)
    assert answers and {a.sample for a in answers} <= set(range(4))
    assert np.isfinite([store.read(r, 'train')['value'] for r in range(2)]).all()
    states = [torch.load(store.checkpoint(r), weights_only=False)['state_dict'] for r in range(2)]
    assert all(key.split('.')[0] in ('backbone', 'decode_head') for key in states[0])
    assert states[0]['decode_head.conv_seg.weight'].shape[0] == n
    check_losses(work_dir / 'tracker' / 'vis_data' / 'scalars.json')


def check_losses(path):
    """The warm-up sees images of the target and has them fool the discriminator; no later round."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows = [row for row in rows if 'loss' in row]
    assert [row['iter'] for row in rows] == [1, 2, 3, 4, 1, 2]
    assert any(row['loss_adv'] > 0 for row in rows[:4])
    assert all(row['discriminator'] > 0 for row in rows[:4])
    assert not any({'loss_adv', 'discriminator'} & set(row) for row in rows[4:])
    assert rows[4]['base_lr'] == pytest.approx(2.5e-4)  # no second rise


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('*.py')), ids=lambda p: p.stem)
def test_configs_load_and_their_acquisitions_build(path):
    from dense_al.config import load_config
    from dense_al.registry import ACQUISITIONS

    cfg = load_config(path)
    assert ACQUISITIONS.build(cfg['acquisition'], 'acquisition').kind == 'region'
    n = cfg['model']['decode_head']['num_classes']
    assert n == dict(synthia=16, gta5=19, nuclei=2)[path.stem.split('_')[0]]


def test_each_method_is_there_for_both_networks_and_both_sources():
    names = {path.stem for path in CONFIGS.glob('*.py')}
    for method in ('d2ada', 'random', 'entropy', 'ripu'):
        wanted = {f'{s}_{m}_{method}' for s in ('gta5', 'synthia') for m in HEADS}
        assert wanted <= names


def test_about_40_regions_in_all_published_configs():
    from dense_al.config import load_config
    from dense_al.regions import Superpixels
    from dense_al.sandbox import StreetsSpec, render_scene

    paths = [p for p in CONFIGS.glob('*.py') if p.stem.startswith(('gta5', 'synthia'))]
    units = [dict(load_config(path)['acquisition']['unit']) for path in paths]
    assert len(units) >= 12 and all(unit == units[0] for unit in units)
    assert units[0].pop('type') == 'Superpixels'
    spec = StreetsSpec(seed=3, height=512, width=1024)
    counts = [
        Superpixels(**units[0]).map(render_scene(spec, split, 0)[0]).max() + 1
        for split in ('train', 'source')
    ]
    assert all(34 <= count <= 61 for count in counts)
