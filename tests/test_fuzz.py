"""Mistakes in configs end in an error that names them, never in a traceback or in silence."""

import inspect
import math
import os
from typing import get_type_hints

import numpy as np
import pytest
from tiny import tiny_config, write_data

from dense_al.datasets.scan_pool import SCAN_STEPS
from dense_al.registry import (
    ACQUISITIONS,
    AGGREGATES,
    ORACLES,
    SAMPLERS,
    SCORES,
    UNITS,
    ConfigError,
)
from dense_al.testing.fuzz import (
    ERROR,
    MISTAKE,
    RUN,
    SILENT,
    TRACEBACK,
    UNCLEAR,
    dry_run,
    judge,
)
from dense_al.testing.mutations import KINDS, Mutation, mutated, write_config

pytest.importorskip('mmdet')
BASES = (
    'sandbox/streets_entropy.py',
    'sandbox/streets_ripu_pixels.py',
    'sandbox/domains_d2ada.py',
    'sandbox/glyphs_entropy.py',
    'sandbox/masks_entropy.py',
    'sandbox/parts_bib.py',
    'sandbox/town_lidal.py',
    'segmentation/nuclei_kcenter.py',
)
NUMBER, SEED = 200, 0
STREETS, TOWN, GLYPHS = 'sandbox/streets_entropy.py', 'sandbox/town_lidal.py', BASES[3]
REGISTRIES = (ACQUISITIONS, AGGREGATES, ORACLES, SAMPLERS, SCAN_STEPS, SCORES, UNITS)
NOWHERE = '/dev/null/nowhere'
# Base, where, what is put there (None: left out), what the user is told.
MENDED = [
    (STREETS, 'val_evaluator', None, 'Expected `val_evaluator` to be a dict'),
    (STREETS, 'model', None, 'Expected the dict `model`'),
    (STREETS, 'model.decode_head.channels', -1, 'Could not build `model`'),
    (STREETS, 'model.decode_head.type', 'FCNHed', 'Did you mean `FCNHead`'),
    (STREETS, 'optim_wrapper.optimizer.type', 'AdamWW', 'Did you mean `AdamW`'),
    (STREETS, 'optim_wrapper.optimizer.type', '', "Unknown `optim_wrapper.optimizer.type` ''"),
    (STREETS, 'optim_wrapper.optimizer.type', '.', "Unknown `optim_wrapper.optimizer.type` '.'"),
    (STREETS, 'optim_wrapper.optimizer.lrr', 1, 'Could not build `optim_wrapper`'),
    (STREETS, 'param_scheduler.0.begn', 1, 'Could not build `param_scheduler[0]`'),
    (STREETS, 'rounds.later', {'optim_wrapper': {'optimizer': {'lrr': 1}}}, '`rounds.later.optim'),
    (STREETS, 'rounds.later', {'model': {'decode_head': {'chanels': 1}}}, '`rounds.later.model`'),
    (STREETS, 'train_cfg.max_iters', 'many', 'Expected `train_cfg.max_iters` to be an integer'),
    (STREETS, 'train_dataloader.batch_size', 0, '`train_dataloader.batch_size`'),
    (STREETS, 'train_dataloader.dataset.data_root', NOWHERE, '`train_dataloader.dataset`'),
    (STREETS, 'train_dataloader.dataset.dataroot', 'x', '`train_dataloader.dataset`'),
    (STREETS, 'train_dataloader.dataset.pipeline.2.type', 'RandomFlop', 'mean `RandomFlip`'),
    (STREETS, 'train_dataloader.dataset.data_prefix.seg_map_path', NOWHERE, 'labels are wrong'),
    (STREETS, 'val_dataloader.dataset.data_prefix.seg_map_path', NOWHERE, '`val_dataloader.dat'),
    (STREETS, 'val_dataloader.dataset.data_prefix.img_path', NOWHERE, '`val_dataloader.dataset`'),
    (STREETS, 'val_dataloader.samplr', {}, 'Could not build `val_dataloader`'),
    (STREETS, 'sandbox', {'wrld': 'streets'}, 'Did you mean `world`'),
    (STREETS, 'sandbox.world', ['streets'], 'Expected `sandbox.world` to be a string'),
    (STREETS, 'sandbox.root', NOWHERE, 'Could not write `sandbox.root`'),
    (STREETS, 'sandbox.budget', 3, 'Expected `sandbox.budget` to be a dict'),
    (STREETS, 'sandbox.spec', [1], 'Expected `sandbox.spec` to be a dict'),
    (STREETS, 'acquisition', {'tyep': 'Composed'}, 'Did you mean `type`'),
    (STREETS, 'acquisition.type', {}, 'Expected `acquisition.type` to be the name'),
    (STREETS, 'acquisition.subset', True, 'Expected `acquisition.subset` to be a number or None'),
    (STREETS, 'acquisition.score', [], 'to name a score, or None, but got []'),
    (STREETS, 'acquisition.prefilter', math.nan, 'Expected `acquisition.prefilter`'),
    (STREETS, 'oracle.noise', '0.1', 'Expected `oracle.noise` to be a number'),
    (STREETS, 'oracle.prices', {'region': 3}, 'Expected `oracle.prices.region` to be a dict'),
    (STREETS, 'oracle.ask_declined_again', 'no', '`oracle.ask_declined_again` to be True or False'),
    (STREETS, 'rounds.count', None, 'Expected the key `rounds.count`, which is required'),
    (STREETS, 'rounds.initial', 1, 'Expected `rounds.initial` to be a dict'),
    (STREETS, 'rounds.initial', {'source': 'yes'}, 'Expected `rounds.initial.source`'),
    (STREETS, 'budget.per_round', 1e-9, 'to pay for at least one region'),
    (STREETS, 'budget', {'per_round': 1, 'unit': ['units']}, 'Expected `budget.unit`'),
    ('sandbox/masks_entropy.py', 'budget', {'per_round': 1e-9, 'unit': 'percent'},
     'at least one point'),
    ('sandbox/town_cells_entropy.py', 'acquisition.subset', 0.5, 'no `acquisition.subset`'),
    (STREETS, 'sorce', {'share': 0.5}, 'Did you mean `source`'),
    (STREETS, 'custom_imports', {'imports': ['no.such.module']}, 'Could not read'),
    (STREETS, 'load_from', NOWHERE, 'Expected `load_from` to be a file'),
    (GLYPHS, 'sandbox.pretrain', [1], 'Expected `sandbox.pretrain` to be a dict'),
    (GLYPHS, 'sandbox.pretrain.scenes', 0, 'Expected `sandbox.pretrain.scenes`'),
    (GLYPHS, 'model.backbone.init_cfg.checkpoint', NOWHERE, '`init_cfg.checkpoint`'),
    (GLYPHS, 'val_evaluator.metric', ['bbx'], 'Did you mean `bbox`'),
    (GLYPHS, 'val_evaluator.ann_file', NOWHERE, 'Could not build `val_evaluator`'),
    (GLYPHS, 'train_dataloader.dataset.ann_file', NOWHERE, '`train_dataloader.dataset`'),
    (GLYPHS, 'model.backbone.init_cfg.type', 'Pretraind', 'Did you mean `Pretrained`'),
    (GLYPHS, 'model.backbone.init_cfg', {'tye': 'Pretrained', 'checkpoint': 'a.pth'},
     'Did you mean `type`'),
    (GLYPHS, 'acquisition', {'type': 'Composed', 'unit': 'Imaage'}, 'Did you mean `Image`'),
    (STREETS, 'val_evaluator.iou_metrics', ['mIou'], 'Did you mean `mIoU`'),
    (STREETS, 'param_scheduler.1.end', math.nan, 'Could not build `param_scheduler`'),
    (STREETS, 'rounds.later', {'param_scheduler': ['a']}, 'Expected `rounds.later.param_sch'),
    (STREETS, 'rounds.later', {'optim_wrapper': True}, 'Expected the dict `rounds.later.optim'),
    (TOWN, 'rounds.initial.acquisition.unit.type', 'Imaage', 'Did you mean `Image`'),
    (TOWN, 'default_scope', None, '`default_scope` is not given'),
    (TOWN, 'train_dataloader.dataset.root', NOWHERE, 'In `train_dataloader.dataset`'),
    (TOWN, 'val_dataloader.dataset.label_map', NOWHERE, 'In `val_dataloader.dataset`'),
    (TOWN, 'acquisition.max_distance', 'near', 'Expected `acquisition.max_distance` to be a num'),
]  # fmt: skip


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with the data of all bases, the working folder meanwhile."""
    pytest.importorskip('open3d')
    folder, before = tmp_path_factory.mktemp('fuzz'), os.getcwd()
    for name in BASES:
        write_data(folder, name)
    os.chdir(folder)
    yield folder
    os.chdir(before)


def ended(place, cfg):
    """Exit code and message of a dry run."""
    path = write_config(cfg, place / 'config.py')
    return dry_run(cfg, path, place / 'work_dirs' / 'run')


def test_mistakes_made_at_random(place):
    failures, kinds = [], set()
    for number in range(NUMBER):
        rng = np.random.default_rng([SEED, number])
        mutation = None
        while mutation is None:
            name = BASES[int(rng.integers(len(BASES)))]
            cfg, mutation = mutated(tiny_config(name), rng)
        outcome = judge(mutation, cfg, *ended(place, cfg))
        kinds.add((mutation.kind, outcome.kind))
        if outcome.failed:
            failures.append(f'{number} {name} {mutation}\n{outcome.kind}: {outcome.message}')
    assert not failures, '\n'.join(failures)
    assert {kind for kind, outcome in kinds if outcome == ERROR} == set(KINDS)
    assert RUN in {outcome for _, outcome in kinds}
    assert not (place / 'work_dirs' / 'run').exists()


@pytest.mark.parametrize(('base', 'where', 'value', 'told'), MENDED, ids=lambda v: str(v)[:40])
def test_what_was_mended(place, base, where, value, told):
    cfg = tiny_config(base)
    node, keys = cfg, [int(k) if k.isdigit() else k for k in where.split('.')]
    for key in keys[:-1]:
        node = node[key]
    if value is None:
        del node[keys[-1]]
    else:
        node[keys[-1]] = value
    code, said = ended(place, cfg)
    assert code == MISTAKE and told in said


LEAST = {  # what cannot be built without
    'Composed': dict(unit='Image', score='Entropy'),
    'DensityAware': dict(unit='Superpixels'),
    'DomainClassifier': dict(unit='Superpixels'),
    'InterFrame': dict(unit='BalancedClusters'),
    'SegmentEntropy': dict(regions='BalancedClusters'),
    'TopKMean': dict(k=3),
}


@pytest.mark.parametrize('registry', REGISTRIES, ids=lambda r: r.kind)
def test_no_number_below_zero_and_no_other_word_is_taken(registry):
    """Annotations of the arguments say which values are wrong."""
    tried = 0
    for name in registry.names:
        cls = registry.get(name, '')
        hints = get_type_hints(cls.__init__)
        for key in inspect.signature(cls).parameters:
            text = str(hints.get(key))
            wrong = ['no such word'] if 'str' in text else [-1] if 'Any' not in text else []
            for value in [*wrong, math.nan, object()] if 'Any' not in text else []:
                value = [value, value] if 'tuple' in text or 'Sequence' in text else value
                value = 'no' if text == "<class 'bool'>" else value
                tried += 1
                with pytest.raises(ConfigError, match=key):
                    registry.build({'type': name, **LEAST.get(name, {}), key: value}, 'field')
    assert tried > 0


def test_one_seed_one_mistake():
    cfg = {'acquisition': {'type': 'Composed', 'unit': {'type': 'Image'}},
           'budget': {'per_round': 3, 'unit': 'units'}, 'rounds': {'count': 3},
           'model': {'type': 'Net', 'norm': [1, (2, 3)]}}  # fmt: skip
    made = [str(mutated(cfg, np.random.default_rng(seed))) for seed in range(60)]
    again = [str(mutated(cfg, np.random.default_rng(seed))) for seed in range(60)]
    assert made == again and len(set(made)) > 30
    assert cfg['rounds'] == {'count': 3}  # the config itself is left as it is


def test_configs_are_written_as_they_are(tmp_path):
    from dense_al.config import read_config

    cfg = {'a': {'b': math.nan, 'c': [(1,), (), -math.inf]}, 'd': 'x\'"'}
    found = read_config(write_config(cfg, tmp_path / 'c.py')).to_dict()
    assert math.isnan(found['a']['b']) and found['a']['c'] == cfg['a']['c']
    assert found['d'] == cfg['d']


VERDICTS = [
    (('misspelt', ('budget', 'unit'), 'unit', 'uint'), 0, '', SILENT),
    (('misspelt', ('budget', 'unit'), 'unit', 'uint'), 2, 'E: Unknown key', UNCLEAR),
    (('misspelt', ('budget', 'unit'), 'unit', 'uint'), 2, 'E: Unknown `uint`. `unit`?', ERROR),
    (('misspelt', ('model', 'neck'), 'neck', 'nekc'), 0, '', RUN),
    (('deleted', ('budget', 'unit'), 'units', None), 0, '', RUN),
    (('deleted', ('budget', 'unit'), 'units', None), None, "KeyError: 'unit'", TRACEBACK),
    (('deleted', ('budget', 'unit'), 'units', None), 2, 'ValueError: 3', UNCLEAR),
    (('wrong type', ('oracle', 'noise'), 0.1, 'many'), 0, '', SILENT),
    (('wrong type', ('oracle', 'noise'), 0.1, None), 0, '', RUN),
    (('wrong type', ('rounds', 'iterations'), [3, 3], 3), 0, '', RUN),
    (('missing file', ('sandbox', 'root'), 'a', NOWHERE), 0, '', SILENT),
    (('budget', ('budget',), {}, {'per_round': 0}), 0, '', SILENT),
    (('budget', ('budget',), {}, {'unit': 'per_object'}), 0, '', RUN),
    (('swapped', ('budget',), {}, {}), 0, '', RUN),
]


@pytest.mark.parametrize(('mutation', 'code', 'message', 'kind'), VERDICTS)
def test_verdicts(mutation, code, message, kind):
    cfg = {'acquisition': {'type': 'Composed'}, 'rounds': {'count': 3}}
    assert judge(Mutation(*mutation), cfg, code, message).kind == kind
