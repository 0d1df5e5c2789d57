"""Detection through the command line: a tiny glyph world, a tiny RetinaNet."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from dense_al.engine import INITIAL, RunStore
from dense_al.engine.main import MISTAKE, main
from dense_al.pool import BoxStore
from dense_al.structures import Manifest

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
sys.path.insert(0, str(ROOT / 'tools'))
SMALL = """
_base_ = ['{base}']
sandbox = dict(root='{root}', spec=dict(n_train=12, n_val=4, side=64),
               pretrain=dict(checkpoint='{checkpoint}', scenes=20, iterations=3))
train_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
val_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{root}/annotations/instances_val.json')
backbone = dict(base_channels=4, stem_channels=4, init_cfg=dict(checkpoint='{checkpoint}'))
model = dict(backbone=backbone, {model})
budget = dict(per_round=3)
rounds = dict(count=3, iterations=3, initial=dict(budget=dict(per_round=3)))
"""
NECK = 'neck=dict(in_channels=[8, 16, 32], out_channels=8), '
MODELS = {
    '': NECK + 'bbox_head=dict(in_channels=8, feat_channels=8)',
    'frcnn_': NECK
    + """rpn_head=dict(in_channels=8, feat_channels=8), roi_head=dict(
        bbox_roi_extractor=dict(out_channels=8), bbox_head=dict(in_channels=8, fc_out_channels=16))
    """,
    'yolo_': """neck=dict(in_channels=[16, 8], out_channels=[8, 4]),
        bbox_head=dict(in_channels=[8, 4], out_channels=[8, 4])""",
}


@pytest.fixture(scope='module')
def glyphs(tmp_path_factory):
    return tmp_path_factory.mktemp('glyphs') / 'world'


@pytest.fixture
def config(tmp_path, glyphs):
    def write(method, root=glyphs, more='', detector=''):
        path = tmp_path / f'{method}.py'
        content = SMALL.format(
            base=CONFIGS / f'sandbox/glyphs_{detector}{method}.py',
            root=root,
            checkpoint=f'{root}{detector}.pth',
            model=MODELS[detector],
        )
        path.write_text(content + more)
        return str(path)

    return write


def run(path, work_dir, *more):
    return main([path, '--work-dir', str(work_dir), *more])


def test_boxes_are_answered_billed_and_trained_on(config, glyphs, tmp_path):
    assert run(config('entropy', more='acquisition = dict(score_thr=0.0)\n'), tmp_path / 'run') == 0
    truth = json.loads((glyphs / 'annotations/instances_train.json').read_text())
    store = RunStore(tmp_path / 'run')
    manifest_names = (
        __import__('pyarrow.parquet')
        .parquet.read_table(tmp_path / 'run/manifest.parquet')['name']
        .to_pylist()
    )
    ids = {image['file_name']: image['id'] for image in truth['images']}
    answers = [a for r in range(INITIAL, 2) for a in store.answers(r)]
    assert len(answers) == 9 and {a.kind for a in answers} == {'image'}
    boxes = BoxStore(answers)
    for answer in answers:
        image = ids[manifest_names[answer.sample]]
        objects = [a for a in truth['annotations'] if a['image_id'] == image]
        wanted = np.array([a['bbox'] for a in objects], np.float32).reshape(-1, 4)
        wanted[:, 2:] += wanted[:, :2]
        np.testing.assert_allclose(boxes.boxes(answer.sample).boxes, wanted, atol=1e-3)
        assert answer.seconds == pytest.approx(1 + 7 * len(objects))
        assert answer.clicks == 4 * len(objects)
    histogram = store.read(0, 'round')['class_histogram']
    assert sum(histogram.values()) == sum(len(boxes.boxes(a.sample)) for a in store.answers(0))
    train = store.read(2, 'train')
    assert set(train['per_class']) == set('0123456789')
    assert train['metric'] == 'coco/bbox_mAP_50'
    check_export(tmp_path / 'run', tmp_path / 'out', boxes)


WRAPPED = """
train_dataloader = dict(dataset=dict(_delete_=True, {wrapper}, dataset=dict(
    type='CocoDataset', data_root='{root}', metainfo=dict(classes=tuple('0123456789')),
    ann_file='annotations/instances_train.json', data_prefix=dict(img='images/train/'),
    pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True){pack}])))
"""
PACK = "dict(type='PackDetInputs')"
WRAPPERS = {
    'MultiImageMixDataset': (f"pipeline=[dict(type='Mosaic', img_scale=(64, 64)), {PACK}]", ''),
    'ClassBalancedDataset': ('oversample_thr=1.0', f', {PACK}'),
}


@pytest.mark.parametrize('name', WRAPPERS)
def test_a_wrapper_goes_around_the_answered_images(name, config, glyphs, tmp_path, monkeypatch):
    from mmengine.registry import DATASETS

    from dense_al.datasets.detection import PoolDetDataset

    built = []
    build = DATASETS.build
    monkeypatch.setattr(
        DATASETS, 'build', lambda *a, **k: (built.append(build(*a, **k)), built[-1])[1]
    )
    arguments, pack = WRAPPERS[name]
    more = WRAPPED.format(root=glyphs, wrapper=f"type='{name}', {arguments}", pack=pack)
    assert (
        run(config('random', more=more), tmp_path / 'run', '--cfg-options', 'rounds.count=2') == 0
    )
    trained = [data for data in built if type(data).__name__ == name]
    pools = [data.dataset for data in trained]
    assert [len(pool) for pool in pools] == [3, 6]
    assert all(isinstance(pool, PoolDetDataset) for pool in pools)
    if name == 'MultiImageMixDataset':
        assert trained[0][0]['inputs'].shape == (3, 128, 128)  # four images of 64
    else:
        # Classes are rarer than the threshold, so that their images are repeated.
        assert len(trained[-1]) > len(pools[-1])


def check_export(work_dir, out, boxes):
    import al_export
    from pycocotools.coco import COCO

    assert al_export.main([str(work_dir), '--out', str(out), '--format', 'png']) == 2
    assert al_export.main([str(work_dir), '--out', str(out)]) == 0
    coco = COCO(str(out / 'annotations.json'))
    assert sorted(coco.imgs) == boxes.samples
    for sample in boxes.samples:
        found = [a['bbox'] for a in coco.loadAnns(coco.getAnnIds(sample))]
        wanted = boxes.boxes(sample).boxes.copy()
        wanted[:, 2:] -= wanted[:, :2]
        np.testing.assert_allclose(np.reshape(found, (-1, 4)), wanted, atol=1e-4)
        assert (out / 'images' / coco.imgs[sample]['file_name']).is_file()


def test_boxes_that_were_not_asked_change_nothing(config, glyphs, tmp_path):
    """The poison test for detection."""
    clean, poisoned, root = tmp_path / 'a/run', tmp_path / 'b/run', tmp_path / 'world'
    assert run(config('random'), clean) == 0
    shutil.copytree(glyphs, root)
    shutil.copyfile(f'{glyphs}.pth', f'{root}.pth')
    store = RunStore(clean)
    asked = {s for r in range(INITIAL, 2) for s in store.query(r).sample.tolist()}
    names = list(Manifest.load(clean / 'manifest.parquet').names)
    file = root / 'annotations/instances_train.json'
    content = json.loads(file.read_text())
    keep = {i['id'] for i in content['images'] if names.index(i['file_name']) in asked}
    for annotation in content['annotations']:
        if annotation['image_id'] not in keep:
            annotation['bbox'] = [0, 0, 5, 5]
            annotation['category_id'] = 1
    file.write_text(json.dumps(content))
    assert run(config('random', root, 'sandbox = None\n'), poisoned) == 0
    other = RunStore(poisoned)
    for r in range(INITIAL, 3):
        if r < 2:
            assert store.query(r).table().to_pylist() == other.query(r).table().to_pylist()
            assert store.answers(r) == other.answers(r)
        if r >= 0:
            assert store.checkpoint(r).read_bytes() == other.checkpoint(r).read_bytes()


@pytest.mark.parametrize('method', ['margin', 'mutual', 'coreset'])
def test_every_acquisition_runs(config, tmp_path, method):
    more = '' if method == 'coreset' else 'acquisition = dict(score_thr=0.0)\n'
    options = ['--cfg-options', 'rounds.count=2', 'rounds.iterations=2']
    assert run(config(method, more=more), tmp_path / 'run', *options) == 0
    assert len(RunStore(tmp_path / 'run').query(0)) == 3


@pytest.mark.parametrize('detector', ['frcnn_', 'yolo_'])
def test_every_detector_runs(config, tmp_path, detector):
    options = ['--cfg-options', 'rounds.count=2', 'rounds.iterations=2']
    path = config('entropy', more='acquisition = dict(score_thr=0.0)\n', detector=detector)
    assert run(path, tmp_path / 'run', *options) == 0
    store = RunStore(tmp_path / 'run')
    query = store.query(0)
    assert len(query) == 3 and (query.score > 0).any()
    assert 'coco/bbox_mAP_50' in store.read(1, 'train')['metrics']


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('sandbox/*.py')), ids=lambda p: p.stem)
def test_sandbox_configs_load(path):
    from dense_al.config import load_config
    from dense_al.registry import ACQUISITIONS

    cfg = load_config(path)
    ACQUISITIONS.build(cfg.acquisition, 'acquisition')
    if cfg.sandbox.get('pretrain'):
        assert cfg.model.backbone.init_cfg.checkpoint == cfg.sandbox.pretrain.checkpoint


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('acquisition.score=Entropie', 'Did you mean `Entropy`'),
        ('acquisition.score_the=1', 'Did you mean `score_thr`'),
        ('model.bbox_head.type=GFLHead', 'Could not build `model`'),
        ('rounds.metric=bbox_mAP_50', 'Did you mean `coco/bbox_mAP_50`'),
        ('train_dataloader.dataset.ann_file=annotations/instances_trian.json', 'instances_trian'),
        ('budget.per_round=7', 'at most the pool'),
        ('sandbox.pretrain.scens=7', 'Did you mean `scenes`'),
    ],
)
def test_mistakes_are_named(config, tmp_path, caplog, option, message):
    assert run(config('entropy'), tmp_path / 'run', '--cfg-options', option) == MISTAKE
    assert message in caplog.text
    assert not (tmp_path / 'run/rounds').exists()


def test_dry_run_says_what_objects_cost(config, tmp_path, capsys):
    assert run(config('entropy'), tmp_path / 'run', '--dry-run') == 0
    assert '7 s and 4 clicks for each object' in capsys.readouterr().out


STOCK = """
_base_ = ['mmdet::{base}']
acquisition = dict(type='BoxUncertainty', score='Entropy', aggregate='sum')
oracle = dict(type='GroundTruth')
budget = dict(per_round=200, unit='units')
rounds = dict(count=5, epochs=12, metric='coco/bbox_mAP', initial=dict(budget=dict(per_round=500)))
"""
BASES = ('retinanet/retinanet_r50_fpn_1x_coco.py', 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')


def test_hooks_with_a_priority_and_backbones_that_read_weights_themselves(config, tmp_path, caplog):
    more = (
        "custom_hooks = [dict(type='CheckInvalidLossHook', interval=50, priority='VERY_LOW')]\n"
        "model = dict(backbone=dict(init_cfg=dict(_delete_=True, checkpoint='{path}')))\n"
    )
    path = config('entropy', more=more.format(path='https://somewhere/weights.pth'))
    assert run(path, tmp_path / 'run', '--dry-run') == 0
    path = config('entropy', more=more.format(path='nowhere.pth'))
    assert run(path, tmp_path / 'run', '--dry-run') == 2
    assert '`init_cfg.checkpoint` to be a file of weights' in caplog.text


@pytest.mark.parametrize('base', BASES)
def test_stock_configs_and_ten_lines(base, glyphs, tmp_path, capsys, monkeypatch):
    from dense_al.sandbox import GlyphsSpec, write_glyphs

    write_glyphs(glyphs, GlyphsSpec(n_train=12, n_val=4, side=64))
    monkeypatch.chdir(tmp_path)
    names = tuple('0123456789')
    classes = ''.join(DATA.format(split=s, classes=names) for s in ('train', 'val', 'test'))
    Path('mine.py').write_text(STOCK.format(base=base) + classes)
    options = ['model.backbone.init_cfg=None', 'budget.per_round=2']
    options += ['rounds.initial.budget.per_round=3', 'rounds.count=3']
    for split in ('train', 'val', 'test'):
        name = 'train' if split == 'train' else 'val'
        options += [
            f'{split}_dataloader.dataset.data_root={glyphs}',
            f'{split}_dataloader.dataset.ann_file=annotations/instances_{name}.json',
            f'{split}_dataloader.dataset.data_prefix.img=images/{name}/',
        ]
    head = 'model.bbox_head' if 'retina' in base else 'model.roi_head.bbox_head'
    options += [f'{head}.num_classes=10']
    options += [f'val_evaluator.ann_file={glyphs}/annotations/instances_val.json']
    assert main(['mine.py', '--dry-run', '--cfg-options', *options]) == 0
    out = capsys.readouterr().out
    assert 'samples   12' in out and '10 classes' in out and 'needs     boxes' in out


DATA = '{split}_dataloader = dict(dataset=dict(metainfo=dict(classes={classes})))\n'


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        ('model = dict(bbox_head=dict(num_classes=3))\n', '`model.bbox_head.num_classes` to be 10'),
        (
            DATA.format(split='train', classes=('0', '1', 'x')),
            "only 2 of these 3 names are there; 'x' is not. Valid names: 0",
        ),
        (DATA.format(split='val', classes=('0', 'y')), 'only 1 of these 2 names are there'),
        (DATA.format(split='val', classes=('1', '0')), "mmdet numbers them, ['0', '1'], but got"),
    ],
)
def test_classes_must_be_the_same_everywhere(config, tmp_path, caplog, more, message):
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = ['{config('entropy')}']\n{more}")
    assert run(str(path), tmp_path / 'run', '--dry-run') == 2
    assert message in caplog.text


def test_the_sandbox_of_a_stock_config(tmp_path):
    from dense_al.config import apply_sandbox, load_config

    (tmp_path / 'mine.py').write_text(STOCK.format(base=BASES[0]))
    small = apply_sandbox(load_config(tmp_path / 'mine.py'), CONFIGS)
    assert small.sandbox.world == 'glyphs' and small.acquisition.aggregate == 'sum'
    assert small.budget == dict(per_round=8, unit='percent')
    assert small.rounds == dict(
        count=5, iterations=600, metric='coco/bbox_mAP_50', initial=dict(budget=small.budget)
    )


PUBLISHED = sorted(CONFIGS.glob('sandbox/published_*.py'))
MILLIONS = {'retinanet': 20.1, 'frcnn': 28.3, 'yolov3': 10.3}  # parameters, from the paper


@pytest.mark.parametrize('path', PUBLISHED, ids=lambda p: p.stem)
def test_published_sizes_build_and_pass_the_dry_run(path, tmp_path, capsys, monkeypatch):
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    from dense_al.config import load_config

    monkeypatch.chdir(tmp_path)
    options = ['sandbox.spec.n_train=12', 'sandbox.spec.n_val=1', 'budget.per_round=1']
    options += ['rounds.initial.budget.per_round=3']
    assert run(str(path), tmp_path / 'run', '--dry-run', '--cfg-options', *options) == 0
    assert 'rounds    8' in capsys.readouterr().out
    cfg = load_config(path)
    init_default_scope('mmdet')
    parameters = sum(p.numel() for p in MODELS.build(cfg.model).parameters())
    name = path.stem.split('_')[1]
    assert parameters / 1e6 == pytest.approx(MILLIONS[name], rel=0.02)
    assert cfg.sandbox.spec.side == 320 and cfg.train_dataloader.batch_size == 4
    assert cfg.rounds.iterations == cfg.train_cfg.max_iters
