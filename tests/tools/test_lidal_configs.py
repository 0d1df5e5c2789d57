"""The numbers that LiDAL and ReDAL were published with, in the configs for the full data sets."""

import inspect

import pytest
from scan_runs import CONFIGS

from dense_al.acquisition import InterFrame
from dense_al.config import load_config
from dense_al.datasets.voxels import Augment
from dense_al.models.sparse_unet import SparseUNet
from dense_al.registry import ACQUISITIONS

DATA = {'semantic_kitti': (19, 5), 'nuscenes': (16, 15)}  # classes, scans in a batch
FRAMES = ('coreset', 'entropy', 'least_confidence', 'margin', 'random')
OF_FRAMES = (*(f'{name}_frames' for name in FRAMES), 'segment_entropy')
METHODS = ('lidal', 'redal', 'entropy', 'random', *OF_FRAMES)
CLUSTERS = dict(type='BalancedClusters', n_regions=20)


def read(data, method):
    return load_config(CONFIGS / f'lidal/{data}_minkunet_{method}.py')


def defaults(cls, *names):
    parameters = inspect.signature(cls).parameters
    return tuple(parameters[name].default for name in names)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('data', DATA)
def test_all_train_alike(data, method):
    cfg, (n_classes, batch_size) = read(data, method), DATA[data]
    voxelize = dict(type='Voxelize', size=0.05)
    assert cfg['train_dataloader']['batch_size'] == batch_size
    assert cfg['train_dataloader']['dataset']['pipeline'] == [dict(type='Augment'), voxelize]
    assert cfg['val_dataloader']['dataset']['pipeline'] == [voxelize]
    assert cfg['optim_wrapper'] == dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
    assert cfg.get('param_scheduler') is None
    backbone = dict(type='SparseUNet')
    assert cfg['model'] == dict(type='ScanSegmentor', num_classes=n_classes, backbone=backbone)


def test_what_the_configs_leave_to_the_defaults():
    widths = (32, 32, 64, 128, 256, 256, 128, 96, 96)
    assert defaults(SparseUNet, 'in_channels', 'channels', 'blocks') == (4, widths, 2)
    assert defaults(Augment, 'jitter', 'flip', 'rotate', 'scale') == (0.1, 0.5, True, (1.0, 1.0))


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('data', DATA)
def test_one_percent_of_frames_and_four_times_one_percent(data, method):
    cfg, percent = read(data, method), dict(per_round=1, unit='percent')
    rounds = cfg['rounds']
    assert (rounds['count'], rounds['iterations'], rounds['start']) == (5, 20_000, 'previous')
    assert rounds.get('later') is None and cfg['budget'] == percent
    frames = dict(type='Composed', unit=dict(type='Image'), score='Random')
    assert rounds['initial'] == dict(acquisition=frames, budget=percent)


@pytest.mark.parametrize('data', DATA)
def test_lidal_is_as_published(data):
    acquisition = read(data, 'lidal')['acquisition']
    assert acquisition['unit'] == CLUSTERS
    built = ACQUISITIONS.build(acquisition, 'acquisition')
    assert isinstance(built, InterFrame) and built.options.passes == 8
    assert (built.max_distance, built.min_distance, built.measure) == (0.1, 5.0, 'kl')
    assert not (built.approximate or built.matched_only or built.min_matched)
    assert (built.with_pseudo, built.pseudo_budget, built.pseudo_distance) == (True, 1.0, 5.0)
    given = {name: acquisition.get(name) for name in ('n_neighbours', 'stride')}
    assert given == dict(n_neighbours=None, stride=None)
    assert defaults(InterFrame, 'n_neighbours', 'stride') == (24, 1)


@pytest.mark.parametrize('data', DATA)
def test_redal_is_as_lidal_ran_it(data):
    acquisition = read(data, 'redal')['acquisition']
    weight = pytest.approx(0.05 * 0.6931 * DATA[data][0])
    assert acquisition == dict(
        type='Composed', unit=dict(type='Supervoxels', spacing=10.0), prefilter=0.1, passes=8,
        score=[dict(type='Entropy'), dict(type='SurfaceVariation', weight=weight)],
        sampler=dict(type='DiversityAware', n_clusters=150),
    )  # fmt: skip


BASELINES = {
    'random': dict(unit=CLUSTERS, score='Random'),
    'entropy': dict(unit=CLUSTERS, score='Entropy', passes=8),
    'random_frames': dict(score='Random'),
    'entropy_frames': dict(score='Entropy', passes=8),
    'least_confidence_frames': dict(score='LeastConfidence', passes=8),
    'margin_frames': dict(score='Margin', passes=8),
    'coreset_frames': dict(sampler='KCenter', passes=8),
    'segment_entropy': dict(score=dict(type='SegmentEntropy', regions=CLUSTERS), passes=8),
}


@pytest.mark.parametrize('method', BASELINES)
@pytest.mark.parametrize('data', DATA)
def test_baselines_are_as_lidal_ran_them(data, method):
    expected = dict(type='Composed', unit=dict(type='Image')) | BASELINES[method]
    assert read(data, method)['acquisition'] == expected


@pytest.mark.parametrize('data', [*DATA, 'pandaset'])
def test_full_supervision_trains_as_long_as_it_was_published(data):
    folder = CONFIGS / 'lidal'
    full = load_config(folder / f'{data}_full.py')
    name = f'{data}_random' if data == 'pandaset' else f'{data}_minkunet_random'
    other = load_config(folder / f'{name}.py')
    # Of PandaSet, which no paper has, as many scans as in all its rounds (batches of 2, then 8).
    length = 200 * (2 + 4 * 8) // 2 if data == 'pandaset' else 20_000
    assert (full['rounds']['count'], full['rounds']['iterations']) == (1, length)
    assert full['rounds']['initial']['budget'] == dict(per_round=100, unit='percent')
    for key in set(other) - {'rounds'}:
        assert full[key] == other[key], key


def test_the_sandbox_keeps_regions_of_its_own():
    acquisition = load_config(CONFIGS / 'sandbox/town_redal.py')['acquisition']
    assert acquisition['unit'] == dict(type='Supervoxels', spacing=8.0)
