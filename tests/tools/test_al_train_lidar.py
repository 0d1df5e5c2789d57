"""`al_train.py` on scans: rounds, poison, pseudo-labels, resume, mistakes, real layouts."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from scan_runs import (
    CONFIGS,
    SPEC,
    UNITS,
    equal,
    run,
    units_of,
    write_config,
    write_real_config,
)

from dense_al.adapters.lidar import pool_scans
from dense_al.config import apply_sandbox, load_config, read_config
from dense_al.engine import INITIAL, RunStore
from dense_al.engine.main import MISTAKE, WAITING
from dense_al.structures import Pixels


@pytest.fixture(scope='module')
def town(tmp_path_factory):
    """Folder of a tiny generated world; do not write into it."""
    pytest.importorskip('open3d')
    from dense_al.sandbox import TownSpec, write_town

    return write_town(tmp_path_factory.mktemp('data') / 'town', TownSpec(**SPEC))


@pytest.fixture
def config(tmp_path, town):
    def write(method='lidal_pseudo', root=town, more=UNITS):
        return write_config(tmp_path, method, root, more)

    return write


def test_a_run_with_pseudo_labels(config, town, tmp_path):
    work_dir = tmp_path / 'run'
    assert run(config(), work_dir) == 0
    store = RunStore(work_dir)
    units, manifest = units_of(work_dir)
    assert manifest.names[0] == '00/000000' and manifest.sequences[-1] == '01'
    assert (manifest.widths == 1).all() and manifest.frames.tolist() == [*range(6), *range(6)]
    whole = manifest.areas.sum()
    fractions = [store.read(r, 'train')['labelled']['fraction'] for r in range(3)]
    assert 0.04 < fractions[0] < fractions[1] < fractions[2] <= 0.2
    raw = np.fromfile(town / 'sequences/00/labels/000003.label', '<u4')
    labels = pool_scans(read_config(work_dir / 'config.py')).label_map.apply(raw & 0xFFFF)
    seen = 0
    for r in (0, 1):
        query, pseudo = store.query(r), store.pseudo(r)
        assert query.size.sum() <= 0.05 * whole and pseudo.size.sum() <= 0.05 * whole
        answers = store.answers(r)
        assert sum(a.source == 'model' for a in answers) == len(pseudo) > 0
        for a in answers:
            inside = units.map(a.sample).ravel() == a.unit
            assert inside.sum() == a.elements
            if a.source != 'model' and manifest.names[a.sample] == '00/000003':
                seen += 1
                assert (Pixels.decode(a.payload).labels == labels[inside]).all()
    train = store.read(2, 'train')
    assert train['metric'] == 'mIoU' and len(train['per_class']) == 13
    assert train['labelled']['units'] == sum(len(store.query(r)) for r in (INITIAL, 0, 1))


def test_labels_that_were_not_asked_change_nothing(config, town, tmp_path):
    """The poison test, with pseudo-labels."""
    clean, poisoned, root = tmp_path / 'a/run', tmp_path / 'b/run', tmp_path / 'world'
    assert run(config(), clean) == 0
    shutil.copytree(town, root)
    units, manifest = units_of(clean)
    asked = [np.zeros(n, bool) for n in manifest.heights]
    for r in (INITIAL, 0, 1):
        query = RunStore(clean).query(r)
        for sample, unit in zip(query.sample, query.unit):
            part = query.kind == 'image' or units.map(int(sample)).ravel() == unit
            asked[sample] |= part
    rng = np.random.default_rng(0)
    for sample, name in enumerate(manifest.names):
        sequence, frame = name.split('/')
        path = root / 'sequences' / sequence / 'labels' / f'{frame}.label'
        label = np.fromfile(path, '<u4')
        garbage = rng.choice([10, 40, 50, 70, 80], len(label)).astype('<u4')
        np.where(asked[sample], label, garbage).astype('<u4').tofile(path)
    # A world that was written over would be drawn anew.
    assert run(config(root=root, more=UNITS + 'sandbox = None\n'), poisoned) == 0
    assert equal(clean, poisoned)


def test_training_opens_no_file_of_labels(config, town, tmp_path, monkeypatch):
    from dense_al.adapters.lidar import ScanTask
    from dense_al.datasets.scans import ScanSource

    opened, training = [], []
    load, train = ScanSource.load_labels, ScanTask._answered

    def loaded(self, record):
        opened.append((record.sequence, bool(training)))
        return load(self, record)

    def trained(self, job):
        training.append(1)
        return train(self, job)

    monkeypatch.setattr(ScanSource, 'load_labels', loaded)
    monkeypatch.setattr(ScanTask, '_answered', trained)
    assert run(config(), tmp_path / 'run', '--cfg-options', 'rounds.count=1') == 0
    assert {sequence for sequence, later in opened if later} == {'02'}


@pytest.mark.parametrize('method', ['entropy', 'lidal_pseudo'])
def test_views_of_a_scan_are_scored_and_labelled_alike(config, tmp_path, monkeypatch, method):
    from dense_al.adapters import lidar

    shown = []

    class Shown(lidar.PredictedScans):
        def __init__(self, source, samples, pipeline, passes, seed):
            super().__init__(source, samples, pipeline, passes, seed)
            shown.append((samples, len(self), [self[i]['coords'] for i in range(len(self))]))

    monkeypatch.setattr(lidar, 'PredictedScans', Shown)
    options = ['--cfg-options', 'rounds.count=2', 'acquisition.passes=3']
    assert run(config(method), tmp_path / 'run', *options) == 0
    (samples, n_views, views), *labelled = shown
    assert n_views == 3 * len(samples) > 3
    assert len(views[0]) != len(views[1]) or (views[0] != views[1]).any()
    assert len(labelled) == (method == 'lidal_pseudo')
    for chosen, n_again, again in labelled:
        assert n_again == 3 * len(chosen) > 0
        for i, coords in enumerate(again):
            first = samples.index(chosen[i // 3])
            np.testing.assert_array_equal(coords, views[3 * first + i % 3])


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_not_been(config, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    assert run(config(), tmp_path / 'a/run') == 0
    for number, place in enumerate(['0:query:pseudo', '1:observe:half', '1:round:answers']):
        work_dir = tmp_path / f'{number}/run'

        def die(self, name, place=place):
            if name == place:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(RunStore, 'phase', die)
            with pytest.raises(Killed):
                run(config(), work_dir)
        assert run(config(), work_dir, '--resume') == 0
        assert equal(tmp_path / 'a/run', work_dir)


MISTAKES = {
    'train_dataloader.dataset.format=semantic_kity': 'Did you mean `semantic_kitti`',
    'train_dataloader.dataset.splt=train': 'Did you mean `split`',
    'train_dataloader.dataset.split=trian': 'Did you mean `train`',
    'train_dataloader.dataset.type=ScanData': 'to be ScanDataset',
    'train_dataloader.dataset.root=/nowhere': '/nowhere',
    'train_dataloader.dataset.label_map=semantic_kity': 'Did you mean `semantic_kitti`',
    'train_dataloader.dataset.pipeline.1.jiter=1': 'Did you mean `jitter`',
    'train_dataloader.dataset.pipeline.1.type=Voxel': 'Did you mean `Voxelize`',
    'model.num_classes=12': 'Expected `model.num_classes` to be 13',
    'model.backbone.type=SparseUnet': 'Could not build `model`',
    'acquisition.unit.type=Superpixels': 'those of scans are Image, BalancedClusters',
    'acquisition.unit.n_region=3': 'Did you mean `n_regions`',
    'acquisition.max_distanse=1': 'Did you mean `max_distance`',
    'rounds.metric=mIou': 'Did you mean `mIoU`',
}


@pytest.mark.parametrize('option', MISTAKES)
def test_mistakes_end_before_training_and_are_named(config, tmp_path, caplog, option):
    more = 'acquisition = dict(unit=dict(_delete_=True, type="BalancedClusters"))\n'
    assert run(config(more=more), tmp_path / 'run', '--cfg-options', option) == MISTAKE
    assert MISTAKES[option] in caplog.text
    assert not (tmp_path / 'run/rounds').exists() and not (tmp_path / 'run/initial').exists()


METHODS = (
    pytest.param('random', marks=pytest.mark.slow),
    pytest.param('entropy', marks=pytest.mark.slow),
    'redal',
    'lidal',
)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('data', ['semantic_kitti', 'nuscenes'])
def test_published_configs_run_on_the_real_layouts(tmp_path, data, method):
    unit = 'voxel=0.5, min_points=5' if method == 'redal' else 'n_regions=5'
    # All these scans are of one place.
    more = ', min_distance=0.0' if method == 'lidal' else ''
    path = write_real_config(tmp_path, data, method, unit, more)
    assert run(path, tmp_path / 'run') == 0
    store = RunStore(tmp_path / 'run')
    train = store.read(1, 'train')
    assert len(train['per_class']) == (16 if data == 'nuscenes' else 19)
    assert train['labelled']['fraction'] > store.read(0, 'train')['labelled']['fraction']
    assert {a.source for a in store.answers(0)} >= {'ground_truth'}


SLOW = ('random_frames', 'entropy_frames', 'margin_frames', 'least_confidence_frames', 'entropy')
BASELINES = (
    *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
    'coreset_frames',
    'segment_entropy',
    'redal',
)


@pytest.mark.parametrize('method', BASELINES)
def test_baselines_run(tmp_path, town, method):
    frames = method not in ('redal', 'entropy')
    options = ['--cfg-options', 'rounds.count=2']
    if method == 'redal':
        options += ['acquisition.unit.min_points=20', 'acquisition.sampler.n_clusters=3']
    if frames:
        options += ['budget.per_round=10']
    config = write_config(tmp_path, method, town)
    assert run(config, tmp_path / 'run', *options) == 0
    query = RunStore(tmp_path / 'run').query(0)
    assert query.kind == ('image' if frames else 'region') and len(query) >= 1


def test_every_sandbox_method_has_a_config_that_plans(town, tmp_path, capsys):
    for path in sorted(CONFIGS.glob('sandbox/town_*.py')):
        method = path.stem.removeprefix('town_')
        config = write_config(tmp_path, method, town, more='budget = dict(per_round=10)\n')
        assert run(config, tmp_path / method, '--dry-run') == 0, method
    assert capsys.readouterr().out.count('13 classes') >= 10


def test_a_full_size_config_becomes_the_sandbox():
    config = CONFIGS / 'lidal/semantic_kitti_minkunet_lidal.py'
    small = apply_sandbox(load_config(config), CONFIGS)
    assert small['sandbox']['world'] == 'town' and small['model']['num_classes'] == 13
    assert small['acquisition'] == load_config(config)['acquisition']
    assert small['rounds']['iterations'] == small['train_cfg']['max_iters']
    assert small['rounds']['initial']['acquisition']['unit'] == dict(type='Image')


def test_a_cell_of_the_world_is_asked_once_for_all_frames(config, tmp_path):
    more = 'acquisition = dict(unit=dict(size=(6.0, 6.0)))\nbudget = dict(per_round=1)\n'
    work_dir = tmp_path / 'run'
    options = ['--cfg-options', 'rounds.count=2']
    assert run(config('cells_entropy', more=more), work_dir, *options) == 0
    units, manifest = units_of(work_dir)
    query, answers = RunStore(work_dir).query(0), RunStore(work_dir).answers(0)
    asked, frames = set(), 0
    for sample, unit in zip(query.sample.tolist(), query.unit.tolist()):
        asked.add((manifest.sequences[sample], *units.groups(sample)[unit].tolist()))
    whole = set(RunStore(work_dir).query(INITIAL).sample.tolist())
    for sample in set(range(12)) - whole:
        for unit, cell in enumerate(units.groups(sample).tolist()):
            if (manifest.sequences[sample], *cell) in asked:
                frames += 1
                assert unit in query.unit[query.sample == sample]
    assert frames == len(query) > len(asked)
    paid = [a for a in answers if a.seconds > 0]
    assert len(paid) == len(asked)
    assert sum(a.elements for a in paid) <= 0.01 * manifest.areas.sum()


@pytest.mark.real_data
@pytest.mark.slow
def test_real_scans_run(tmp_path, monkeypatch):
    folder = Path(os.environ.get('DENSE_AL_REAL_DATA', CONFIGS.parents[1] / 'shared/data'))
    if not (folder / 'pandaset02_lidar').is_dir():
        pytest.skip(f'no real scans in {folder}')
    monkeypatch.setenv('DENSE_AL_REAL_DATA', str(folder))
    options = ['rounds.count=2', 'rounds.iterations=2', 'acquisition.n_neighbours=4']
    config = CONFIGS / 'lidal/pandaset_lidal.py'
    assert run(config, tmp_path / 'run', '--cfg-options', *options) == 0
    store = RunStore(tmp_path / 'run')
    assert 0.015 < store.read(1, 'train')['labelled']['fraction'] <= 0.02
    assert len(store.query(0)) >= 4 and store.query(0).score.min() > 0


def test_people_answer_about_scans_through_files(config, town, tmp_path):
    """The same run as with the ground truth, of a pool that has no labels."""
    simulated, asked, root = tmp_path / 'a/run', tmp_path / 'b/run', tmp_path / 'world'
    assert run(config(), simulated) == 0
    shutil.copytree(town, root)
    for sequence in ('00', '01'):
        shutil.rmtree(root / 'sequences' / sequence / 'labels')
    files = UNITS + "sandbox = None\noracle = dict(_delete_=True, type='Files')\n"
    label_map = pool_scans(read_config(simulated / 'config.py')).label_map
    for round_name in ('initial', 'rounds/000', 'rounds/001'):
        assert run(config(root=root, more=files), asked, '--resume') == WAITING
        folder = asked / round_name
        query = json.loads((folder / 'ask/query.json').read_text())
        assert query['form'] == 'points' and len(query['classes']) == 13
        for sample in query['samples']:
            assert Path(sample['scan']).is_file()
            units = np.fromfile(folder / 'ask' / sample['units'], '<u4')
            assert set(np.unique(units)) - {0} == {u + 1 for u in sample['asked']}
            sequence, frame = sample['name'].split('/')
            raw = np.fromfile(town / f'sequences/{sequence}/labels/{frame}.label', '<u4')
            answer = np.where(units > 0, label_map.apply(raw & 0xFFFF), 255)
            answer.astype('<u4').tofile(folder / sample['label'])
    assert run(config(root=root, more=files), asked, '--resume') == 0
    stores = RunStore(simulated), RunStore(asked)
    for r in (INITIAL, 0, 1):
        first, second = (store.query(r).table().to_pylist() for store in stores)
        assert first == second
        given = [[(a.unit, a.status, a.payload) for a in store.answers(r)] for store in stores]
        assert given[0] == given[1]
    first, second = (store.read(2, 'train') for store in stores)
    assert first['metrics'] == second['metrics'] and first['labelled'] == second['labelled']
