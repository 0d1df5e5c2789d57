"""Points on objects through the command line: a tiny glyph world, tiny CondInst and Mask R-CNN."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from dense_al.engine import INITIAL, RunStore
from dense_al.engine.main import MISTAKE, WAITING, main
from dense_al.pool import InstanceStore
from dense_al.structures import Boxes, Inside, Manifest

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
SIDE = 64
DATA = """
_base_ = ['{base}']
sandbox = dict(root='{root}', spec=dict(
    n_train=6, n_val=3, side=64, mean_count=2.5, scale_low=0.25, scale_high=0.5),
    pretrain=dict(checkpoint='{checkpoint}', scenes=20, iterations=3))
train_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
val_dataloader = dict(batch_size=2, dataset=dict(data_root='{root}'))
test_dataloader = val_dataloader
backbone = dict(base_channels=4, stem_channels=4, init_cfg=dict(checkpoint='{checkpoint}'))
evaluate = dict(
    ann_file='{root}/annotations/instances_val.json', metric=['bbox', 'segm'])
val_evaluator = evaluate
"""
CONDINST = """
norm_cfg = dict(type='GN', num_groups=4)
model = dict(
    backbone=backbone,
    neck=dict(in_channels=[4, 8, 16], out_channels=8, norm_cfg=norm_cfg),
    bbox_head=dict(in_channels=8, feat_channels=8, stacked_convs=1, norm_cfg=norm_cfg),
    mask_head=dict(mask_feature_head=dict(
        in_channels=8, feat_channels=8, num_stacked_convs=1, norm_cfg=norm_cfg)))
rounds = dict(count=3, iterations=[3, 2, 2])
"""
MASK_RCNN = """
model = dict(
    type='MaskRCNN', backbone=backbone, neck=dict(in_channels=[8, 16, 32], out_channels=8),
    rpn_head=dict(in_channels=8, feat_channels=8),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=8),
        bbox_head=dict(in_channels=8, fc_out_channels=16),
        mask_roi_extractor=dict(
            type='SingleRoIExtractor', out_channels=8, featmap_strides=[8, 16, 32],
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2)),
        mask_head=dict(
            type='{head}', num_convs=1, in_channels=8, conv_out_channels=8, num_classes=10)),
    train_cfg=dict(rcnn=dict(mask_size=14)), test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)))
rounds = dict(
    count=3, iterations=2, metric='coco/segm_mAP',
    initial=dict(budget=dict(per_round=3, unit='units')))
budget = dict(per_round=1, unit='units')
"""
POINTS = """
acquisition = dict(_delete_=True, type='PointUncertainty', metric='{metric}', views='{views}')
oracle = dict(points=2)
budget = dict(per_round=1, unit='per_object')
"""


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """Folder of the glyph world, which the first run makes."""
    return tmp_path_factory.mktemp('glyphs') / 'world'


@pytest.fixture(scope='module')
def write(tmp_path_factory, world):
    """Writes a config; returns its path."""

    def config(name='masks_entropy', model=CONDINST, root=world, more=''):
        path = tmp_path_factory.mktemp('config') / 'mine.py'
        content = DATA.format(
            base=CONFIGS / f'sandbox/{name}.py', root=root, checkpoint=f'{root}_{len(model)}.pth'
        )
        path.write_text(content + model + more)
        return str(path)

    return config


def run(path, work_dir, *more):
    return main([path, '--work-dir', str(work_dir), *more])


@pytest.fixture(scope='module')
def finished(write, tmp_path_factory):
    """A run of three rounds; do not write into it."""
    work_dir = tmp_path_factory.mktemp('finished') / 'run'
    assert run(write(), work_dir) == 0
    return work_dir


def truth_of(root, work_dir):
    """Sample -> boxes x1 y1 x2 y2 and masks of the data set."""
    content = json.loads((root / 'annotations/instances_train.json').read_text())
    ids = {image['file_name']: image['id'] for image in content['images']}
    found = {}
    for sample, name in enumerate(Manifest.load(work_dir / 'manifest.parquet').names):
        objects = [a for a in content['annotations'] if a['image_id'] == ids[name]]
        boxes = np.array([a['bbox'] for a in objects], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        masks = [coco_mask.decode(a['segmentation']).astype(bool) for a in objects]
        found[sample] = boxes, masks
    return found


def test_each_round_asks_one_point_of_each_object(finished, world):
    truth, store = truth_of(world, finished), RunStore(finished)
    objects = [(s, i) for s, (boxes, _) in truth.items() for i in range(len(boxes))]
    assert len(objects) > 6
    seen = set()
    for answer in store.answers(INITIAL):
        boxes, masks = truth[answer.sample]
        found = Boxes.decode(answer.payload)
        np.testing.assert_allclose(found.boxes, boxes, atol=1e-3)
        assert answer.kind == 'image' and found.masks is None
        for i, (((x, y),), (label,)) in enumerate(zip(found.points, found.point_labels)):
            assert label == masks[i][y, x]
            seen.add((answer.sample, i, x, y))
    assert {a.sample for a in store.answers(INITIAL)} == set(range(6))
    for r in range(2):
        answers = store.answers(r)
        assert sorted((a.sample, a.instance) for a in answers) == objects
        assert store.query(r).kind == 'point' and (store.query(r).score > 0).any()
        for a in answers:
            y, x = divmod(a.unit, SIDE)
            box = truth[a.sample][0][a.instance]
            assert np.floor(box[0]) <= x < box[2] and np.floor(box[1]) <= y < box[3]
            assert Inside.decode(a.payload).value == truth[a.sample][1][a.instance][y, x]
            seen.add((a.sample, a.instance, x, y))
    assert len(seen) == 3 * len(objects)  # no pixel twice
    known = InstanceStore(store.ledger(before=2).in_force(), np.full(6, SIDE))
    assert {len(labels) for s in range(6) for _, labels in known.points(s)} == {3}


def test_the_ledger_sums_up(finished, world):
    store = RunStore(finished)
    n = sum(len(boxes) for boxes, _ in truth_of(world, finished).values())
    for r, units in ((0, 6), (1, 6 + n), (2, 6 + 2 * n)):
        labelled = store.read(r, 'train')['labelled']
        assert (labelled['units'], labelled['elements']) == (units, (r + 1) * n)
        assert labelled['clicks'] == 4 * n + (r + 1) * n
        assert labelled['seconds'] == pytest.approx(6 + 7 * n + (r + 1) * n * 0.9)
        assert labelled['fraction'] == pytest.approx((r + 1) * n / (6 * SIDE**2))
        assert 'coco/segm_mAP' in store.read(r, 'train')['metrics']
    cost = store.read(1, 'round')['cost']
    assert (cost['units'], cost['clicks'], cost['elements']) == (n, n, n)


def record(work_dir):
    """Everything a run decided: queries, answers, weights."""
    store, found = RunStore(work_dir), []
    for r in range(INITIAL, 3):
        if r < 2:
            found.append(store.query(r).table().to_pylist())
            found.append(store.answers(r))
        if r >= 0:
            found.append(store.checkpoint(r).read_bytes())
    return found


def flip_what_was_not_asked(root, work_dir):
    """Turns every pixel of every mask of the data set that no question was about."""
    store, file = RunStore(work_dir), root / 'annotations/instances_train.json'
    ledger, content = store.ledger(before=2), json.loads(file.read_text())
    known = InstanceStore(ledger.in_force(), np.full(6, SIDE), ledger.units_asked('point'))
    ids = {image['file_name']: image['id'] for image in content['images']}
    for sample, name in enumerate(Manifest.load(work_dir / 'manifest.parquet').names):
        objects = [a for a in content['annotations'] if a['image_id'] == ids[name]]
        for given, asked in zip(objects, known.asked(sample)):
            before = coco_mask.decode(given['segmentation']).astype(bool)
            after = ~before
            after[asked[:, 0], asked[:, 1]] = before[asked[:, 0], asked[:, 1]]
            assert (after != before).sum() == SIDE**2 - 3
            code = coco_mask.encode(np.asfortranarray(after, np.uint8))
            given['segmentation'] = dict(size=[SIDE, SIDE], counts=code['counts'].decode())
    file.write_text(json.dumps(content))


def test_mask_pixels_that_were_not_asked_change_nothing(finished, write, world, tmp_path):
    """The poison test for points."""
    root = tmp_path / 'world'
    shutil.copytree(world, root)
    for file in world.parent.glob('world*.pth'):
        shutil.copyfile(file, tmp_path / file.name)
    flip_what_was_not_asked(root, finished)
    config = write(root=root, more='sandbox = None\n')
    assert run(config, tmp_path / 'poisoned/run') == 0
    assert record(tmp_path / 'poisoned/run') == record(finished)


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def test_a_run_killed_twice_goes_on_as_if_nothing_had_been(finished, write, tmp_path, monkeypatch):
    path, resume = write(), []
    for phase in ('0:ask:begin', '1:observe:half'):

        def die(self, name, phase=phase):
            if name == phase:
                raise Killed

        monkeypatch.setattr(RunStore, 'phase', die)
        with pytest.raises(Killed):
            run(path, tmp_path / 'run', *resume)
        resume = ['--resume']
    monkeypatch.undo()
    assert run(path, tmp_path / 'run', '--resume') == 0
    assert record(tmp_path / 'run') == record(finished)


MASK_RCNN_POINTS = MASK_RCNN.format(head='PointSupMaskHead')
FRCNN = 'glyphs_frcnn_random'


@pytest.mark.parametrize(
    ('name', 'model', 'metric', 'views'),
    [
        ('masks_entropy', CONDINST, 'random', 'positives'),
        pytest.param(
            'masks_entropy', CONDINST, 'mutual_information', 'dropout', marks=pytest.mark.slow
        ),
        (FRCNN, MASK_RCNN_POINTS, 'variance', 'flip'),
        pytest.param(FRCNN, MASK_RCNN_POINTS, 'entropy', 'positives', marks=pytest.mark.slow),
    ],
)
def test_every_metric_and_model_runs(write, tmp_path, name, model, metric, views):
    more = POINTS.format(metric=metric, views=views)
    options = ['--cfg-options', 'rounds.count=2', 'rounds.iterations=2']
    assert run(write(name, model, more=more), tmp_path / 'run', *options) == 0
    store = RunStore(tmp_path / 'run')
    (first, *_), query = store.answers(INITIAL), store.query(0)
    assert Boxes.decode(first.payload).points.shape[1] == 2
    objects = {(a.sample, i) for a in store.answers(INITIAL)
               for i in range(len(Boxes.decode(a.payload)))}  # fmt: skip
    assert set(zip(query.sample.tolist(), query.instance.tolist())) == objects
    assert len(query) == len(objects) and (query.score > 0).any()


def test_whole_masks_of_images(write, world, tmp_path):
    """Mask R-CNN of mmdet itself: people draw all masks of the images that are asked."""
    path = write(FRCNN, MASK_RCNN.format(head='FCNMaskHead'))
    assert run(path, tmp_path / 'run', '--cfg-options', 'rounds.count=2') == 0
    store, truth = RunStore(tmp_path / 'run'), truth_of(world, tmp_path / 'run')
    answers = store.answers(INITIAL) + store.answers(0)
    assert len(answers) == 4 and {a.kind for a in answers} == {'image'}
    for answer in answers:
        boxes, masks = truth[answer.sample]
        found = Boxes.decode(answer.payload)
        np.testing.assert_allclose(found.boxes, boxes, atol=1e-3)
        np.testing.assert_array_equal([m.array() for m in found.masks], masks)
        assert answer.clicks == 34 * len(boxes) and answer.elements == SIDE**2
        assert answer.seconds == pytest.approx(1 + 79.2 * len(boxes))
    assert 'coco/segm_mAP' in store.read(1, 'train')['metrics']


def test_people_answer(write, world, tmp_path):
    """Boxes with points first, then the points that are asked."""
    path, work_dir = write(), tmp_path / 'run'
    options = ['--cfg-options', 'oracle.type=Files', 'rounds.count=2', 'rounds.iterations=2']
    assert run(path, work_dir, *options) == WAITING
    truth = truth_of(world, work_dir)
    folder = work_dir / 'initial'
    asked = json.loads((folder / 'ask/query.json').read_text())
    names = list(Manifest.load(work_dir / 'manifest.parquet').names)
    assert asked['form'] == 'masks' and asked['points'] == 1
    labels = {a['name']: folder / a['label'] for a in asked['samples']}
    classes = asked['classes']
    for name, file in labels.items():
        boxes, _ = truth[names.index(name)]
        low = np.floor(boxes[:, :2]).astype(int).tolist()
        content = dict(boxes=boxes.tolist(), labels=classes[:1] * len(boxes),
                       points=[[[x, y, 'no']] for x, y in low])  # fmt: skip
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    assert run(path, work_dir, *options, '--resume') == WAITING
    asked = json.loads((work_dir / 'rounds/000/ask/query.json').read_text())
    assert asked['form'] == 'answers' and asked['kind'] == 'point'
    for sample in asked['samples']:
        said = [{**q, 'answer': 'yes'} for q in sample['asked']]
        file = work_dir / 'rounds/000' / sample['label']
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({'answers': said}))
    assert run(path, work_dir, *options, '--resume') == 0
    store = RunStore(work_dir)
    assert all(Inside.decode(a.payload).value for a in store.answers(0))
    known = InstanceStore(store.ledger(before=1).in_force(), np.full(6, SIDE))
    for sample in range(6):
        assert all(labels.tolist() == [0, 1] for _, labels in known.points(sample))


@pytest.mark.parametrize(
    ('name', 'model', 'more', 'message'),
    [
        (FRCNN, MASK_RCNN.format(head='FCNMaskHead'), 'oracle = dict(points=1)\n',
         '`oracle.points` is 1.*PointSupMaskHead or PointSupCondInstMaskHead'),
        (FRCNN, MASK_RCNN.format(head='FCNMaskHead'),
         POINTS.format(metric='random', views='flip'), 'learns masks from points'),
        ('masks_entropy', CONDINST, "acquisition = dict(metric='entropi')\n",
         'Did you mean `entropy`'),
        ('masks_entropy', CONDINST, 'rounds = dict(initial=dict(budget=dict(per_round=101)))\n',
         'at most 100 percent'),
    ],
)  # fmt: skip
def test_mistakes_are_named(write, tmp_path, caplog, name, model, more, message):
    assert run(write(name, model, more=more), tmp_path / 'run') == MISTAKE
    assert re.search(message, caplog.text)
    assert not (tmp_path / 'run/rounds').exists()


def test_points_of_a_detector_of_boxes_are_refused(write, tmp_path, caplog):
    model = """
model = dict(
    backbone=backbone, neck=dict(in_channels=[8, 16, 32], out_channels=8),
    rpn_head=dict(in_channels=8, feat_channels=8),
    roi_head=dict(bbox_roi_extractor=dict(out_channels=8),
                  bbox_head=dict(in_channels=8, fc_out_channels=16)))
"""
    path = write(FRCNN, model, more='oracle = dict(points=1)\n')
    assert run(path, tmp_path / 'run') == MISTAKE
    assert 'learns masks from points' in caplog.text


def test_a_mask_that_is_missing_is_named_before_training(write, world, tmp_path, caplog, finished):
    root = tmp_path / 'world'
    shutil.copytree(world, root)
    for file in world.parent.glob('world*.pth'):
        shutil.copyfile(file, tmp_path / file.name)
    file = root / 'annotations/instances_train.json'
    content = json.loads(file.read_text())
    del content['annotations'][0]['segmentation']
    file.write_text(json.dumps(content))
    assert run(write(root=root, more='sandbox = None\n'), tmp_path / 'run') == MISTAKE
    assert '1 of 6 labels are wrong' in caplog.text and '`segmentation`' in caplog.text


def test_the_plan_of_points(write, tmp_path, capsys):
    assert run(write(), tmp_path / 'run', '--dry-run') == 0
    out = capsys.readouterr().out
    assert (
        '1 per_object per round' in out
        and 'points of the objects' in out
        and 'needs     masks' in out
    )
