"""Runs on tiny scans that take seconds, for tests of the whole loop."""

import json
from pathlib import Path

import numpy as np
import torch
from scan_layouts import write_nuscenes, write_semantic_kitti

from dense_al.adapters.lidar import pool_scans
from dense_al.config import read_config
from dense_al.engine import INITIAL, RunStore
from dense_al.engine.main import main
from dense_al.regions import build_regions
from dense_al.structures import Manifest

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
SPEC = dict(n_train_sequences=2, n_val_sequences=1, frames=6, val_frames=2, beams=12, columns=120)
SMALL = """
_base_ = ['{base}']
sandbox = {sandbox}
train_dataloader = dict(dataset=dict(root='{root}', label_map='{root}/town.yaml'))
val_dataloader = dict(dataset=dict(root='{root}', label_map='{root}/town.yaml'))
model = dict(backbone=dict(channels=(4, 4, 4), backend='torch'))
budget = dict(per_round=5)
rounds = dict(count=3, iterations=4, initial=dict(budget=dict(per_round=10)))
"""
REAL = """
_base_ = ['{base}']
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(root='{root}', {train}))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(root='{root}', {val}))
model = dict(backbone=dict(channels=(4, 4, 4), blocks=1, backend='torch'))
acquisition = dict(unit=dict({unit}){more})
budget = dict(per_round=15)
rounds = dict(
    count=2, iterations=2, checkpoint_interval=None, initial=dict(budget=dict(per_round=40)))
"""
UNITS = 'acquisition = dict(unit=dict(n_regions=6))\n'


def write_config(folder, method, root, more=''):
    """A config of the sandbox, shrunk; returns its path."""
    path = Path(folder) / f'small_{method}.py'
    base = CONFIGS / f'sandbox/town_{method}.py'
    text = SMALL.format(base=base, root=root, sandbox=dict(world='town', root=str(root), spec=SPEC))
    path.write_text(text + more)
    return str(path)


def write_real_config(folder, data, method, unit, more=''):
    """A config of the full data sets, shrunk, with tiny files in their layout; returns its path.

    Args:
        folder: For the config and the data.
        data: `semantic_kitti` or `nuscenes`.
        method: What else the name of the config says.
        unit: Arguments of the units.
        more: Further arguments of the acquisition.
    """
    if data == 'nuscenes':
        root = write_nuscenes(folder).root
        parts = dict(train="split_file=None, scenes=['scene-0003']",
                     val="split_file=None, scenes=['scene-0061']")  # fmt: skip
        parts = {key: f"version='v1.0-mini', {text}" for key, text in parts.items()}
    else:
        root = write_semantic_kitti(folder).root
        parts = dict(train="split=None, sequences=['00']", val='')
    path = Path(folder) / 'tiny.py'
    base = CONFIGS / f'lidal/{data}_minkunet_{method}.py'
    path.write_text(REAL.format(base=base, root=root, unit=unit, more=more, **parts))
    return path


def units_of(work_dir):
    """Units of the run's acquisition, and the manifest."""
    manifest = Manifest.load(work_dir / 'manifest.parquet')
    recorded = json.loads((work_dir / 'environment.json').read_text())
    scans = pool_scans(read_config(work_dir / 'config.py'))
    return build_regions(recorded['regions'], manifest, recorded['cache_dir'], scans), manifest


def run(config, work_dir, *more):
    return main([str(config), '--work-dir', str(work_dir), *more])


def decisions(work_dir, rounds=3):
    """Queries, answers, metrics and weights of all rounds."""
    store, found = RunStore(work_dir), []
    for r in range(INITIAL, rounds):
        if r < rounds - 1:
            pseudo = store.pseudo(r)
            found += [store.query(r).table().to_pylist(), store.answers(r)]
            found.append(None if pseudo is None else pseudo.table().to_pylist())
        if r >= 0:
            train = store.read(r, 'train')
            found += [train['metrics'], train['per_class'], train['labelled']]
    return found


def weights(work_dir, rounds=3):
    """All parameters of all rounds, in one vector."""
    parts = []
    for r in range(rounds):
        state = torch.load(RunStore(work_dir).checkpoint(r), weights_only=False)['state_dict']
        parts += [state[k].float().ravel() for k in sorted(state)]
    return torch.cat(parts)


def equal(a, b):
    np.testing.assert_equal(decisions(a), decisions(b))
    return torch.equal(weights(a), weights(b))
