"""What a run is begun with must stay, and a resume that differs names the key."""

import json
from argparse import Namespace
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from dense_al.engine import environment as module
from dense_al.engine.environment import record
from dense_al.engine.store import INITIAL, RunStore
from dense_al.registry import ConfigError

CONFIG = dict(
    model=dict(type='M', backbone=dict(depth=50), heads=[dict(loss=1.0), dict(loss=float('inf'))]),
    train_dataloader=dict(batch_size=2, num_workers=1, dataset=dict(data_root='a')),
    oracle=dict(type='GroundTruth', noise=0.0),
    rounds=dict(count=3, iterations=[9, 5, 5], checkpoint_interval=None),
    optim_wrapper=dict(optimizer=dict(lr=0.1)),
    sandbox=dict(world='streets'),
    default_hooks=dict(logger=dict(interval=5)),
    vis_backends=[],
)


def recorded(changes=(), **more):
    cfg = Config(json.loads(json.dumps(CONFIG)))
    cfg.merge_from_dict(dict(changes))
    keys = ('seed', 'regions', 'units_key', 'device', 'threads', 'workers', 'batch_size')
    found = {key: 1 for key in (*keys, 'processes')}
    found.update(acquisition={}, budget={}, versions=module._versions())
    return {**found, 'config': dict(module._settings(cfg.to_dict())), **more}


@pytest.fixture
def store(tmp_path):
    store = RunStore(tmp_path)
    record(store, recorded(), False)
    (tmp_path / 'initial').mkdir()
    return store


@pytest.mark.parametrize(
    ('key', 'value', 'said'),
    [
        ('model.backbone.depth', 101, 'Expected `model.backbone.depth` 50 as when .* got 101'),
        ('model.heads.0.loss', 2.0, 'Expected `model.heads.0.loss` 1.0 .* got 2.0'),
        ('oracle.noise', 0.1, 'Expected `oracle.noise` 0.0 .* got 0.1'),
        ('oracle.decline', 0.1, 'Expected `oracle.decline` absent .* got 0.1'),
        ('optim_wrapper.optimizer.lr', 0.2, 'Expected `optim_wrapper.optimizer.lr` 0.1 .* got 0.2'),
        ('train_dataloader.dataset.data_root', 'b', "`train_dataloader.dataset.data_root` 'a'"),
        ('sandbox.world', 'glyphs', "`sandbox.world` 'streets'"),
        ('rounds.iterations', [9, 6, 5], 'Expected `rounds.iterations.1` 5 .* got 6'),
        ('rounds.start', 'previous', 'Expected `rounds.start` absent'),
    ],
)
def test_what_a_run_follows_from_must_stay(store, key, value, said):
    before = (store.work_dir / 'environment.json').read_bytes()
    with pytest.raises(ConfigError, match=said):
        record(store, recorded({key: value}), False)
    assert (store.work_dir / 'environment.json').read_bytes() == before
    record(store, recorded({key: value}), True)
    record(store, recorded({key: value}), False)


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'rounds.count': 5, 'rounds.iterations': [9, 5, 5, 5, 5]},
        {'rounds.checkpoint_interval': 100},
        {'train_dataloader.num_workers': 4, 'train_dataloader.persistent_workers': True},
        {'oracle.wait_for': 'any'},
        {'log_level': 'WARNING', 'log_processor': dict(by_epoch=False), 'launcher': 'slurm'},
        {'train_dataloader.timeout': 600, 'env_cfg.dist_cfg.timeout': 3600},
        {'vis_backends': [dict(type='LocalVisBackend')], 'default_hooks.logger.interval': 1},
    ],
)
def test_what_changes_nothing_may_change(store, changes):
    record(store, recorded(changes), False)


def test_what_may_change_by_now_was_recorded_by_a_run_begun_earlier(store):
    path = store.work_dir / 'environment.json'
    old = json.loads(path.read_text())
    old['config'] |= {'oracle.wait_for': 'all', 'val_dataloader.timeout': 0}
    path.write_text(json.dumps(old))
    record(store, recorded({'oracle.wait_for': 'any'}), False)


def test_all_that_differs_is_named_the_method_first(store):
    other = recorded({'train_dataloader.num_workers': 1}, acquisition='other', seed=5, workers=3)
    with pytest.raises(
        ConfigError, match='Expected `acquisition`.*different: `seed`, `workers`'
    ) as e:
        record(store, other, False)
    assert str(store.config_file) in str(e.value)


def test_a_start_that_was_refused_leaves_nothing_that_must_stay(tmp_path):
    store = RunStore(tmp_path)
    record(store, recorded(), False)
    record(store, recorded({'oracle.noise': 0.1}), False)  # nothing of a round was there
    assert store.environment()['config']['oracle.noise'] == 0.1


def test_a_start_is_shared_by_runs_of_the_same_samples():
    args = Namespace(work_dir='w', config='c.py', seed=0)
    cfg = Config(dict(CONFIG, acquisition={}, budget={}))

    def key(digest):
        manifest = SimpleNamespace(digest=digest)
        task = SimpleNamespace(classes=[], palette=[], scans=None, manifest=manifest)
        return module.environment(args, cfg, task, {}, 'key', [])['start_key']

    assert key('a') == key('a') != key('b')


def test_what_was_trained_with_other_settings_keeps_its_key(store):
    record(store, recorded(start_key='first'), True)
    store.commit(INITIAL, 'query', {})
    record(store, recorded(start_key='second'), True)
    assert store.environment()['start_key'] is None  # drawn with the first, to be trained so
    record(store, recorded(start_key='second'), True)
    record(store, recorded(start_key='second'), False)
    store.commit(0, 'train', {})
    record(store, recorded(start_key='third'), True)
    assert store.environment()['start_key'] != 'third'


def test_processes_and_versions_must_stay(store):
    with pytest.raises(ConfigError, match='Expected `processes` 1 .* got 2'):
        record(store, recorded(processes=2), False)
    versions = {**module._versions(), 'scipy': '0.1', 'onedl-mmcv': None}
    with pytest.raises(ConfigError, match=r"`versions\.(scipy|onedl-mmcv)` '"):
        record(store, recorded(versions=versions), False)
    assert versions['mmcv operators'] in ('compiled', 'stand-in') and versions['dense_al']
    assert versions['opencv'] and versions['onedl-mmdetection'] and versions['scikit-learn']


def test_a_run_begun_before_all_this_was_recorded_goes_on(store):
    path = store.work_dir / 'environment.json'
    old = json.loads(path.read_text())
    old['versions'] = {p: old['versions'][p] for p in ('torch', 'numpy', 'onedl-mmengine')}
    del old['config'], old['processes']
    path.write_text(json.dumps(old))
    record(store, recorded({'oracle.noise': 0.1}), False)
    assert 'config' in json.loads(path.read_text())
