"""The dry runs of stock configs: why one fails, tiny data sets, and three configs."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import ConfigDict
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'benchmarks'))

import stock_configs  # noqa: E402
import stock_data  # noqa: E402
import stock_reasons as why  # noqa: E402
import stock_table  # noqa: E402

COCO = dict(
    type='CocoDataset', data_root='data/coco/', ann_file='annotations/instances_train2017.json',
    data_prefix=dict(img='train2017/'), backend_args=None, metainfo=dict(classes=('cat', 'dog')),
    filter_cfg=dict(filter_empty_gt=True), pipeline=[dict(type='LoadImageFromFile')])  # fmt: skip


@pytest.mark.parametrize(
    ('error', 'reason'),
    [
        (RuntimeError("Expected mmcv's compiled operators for `deform_conv`"), why.OPERATORS),
        (OSError('<urlopen error [Errno -2] Name or service not known>'), why.WEIGHTS),
        (ModuleNotFoundError("No module named 'timm'"), why.PACKAGES),
        (FileNotFoundError('configs/gfl/gfl_r101.py'), why.UNBUILDABLE),
    ],
)
def test_what_lies_behind_an_error(error, reason):
    assert why.cause(error) == reason
    outer = KeyError('model')
    outer.__cause__ = error
    assert why.cause(outer) == reason


def config(model='RetinaNet', data=COCO, **more):
    return dict(
        model=dict(type=model), train_dataloader=dict(dataset=data),
        val_dataloader=dict(dataset=data), val_evaluator=dict(type='CocoMetric'), **more,
    )  # fmt: skip


def test_configs_of_other_tasks_are_known():
    assert why.other_task(config()) is None
    assert why.other_task(config('QDTrack')) == 'video'
    panoptic = dict(type='RepeatDataset', dataset=dict(type='mmdet.CocoPanopticDataset'))
    assert why.other_task(config(data=panoptic)) == 'panoptic'
    assert why.other_task(dict(param_scheduler=[])) == 'no model, a part of other configs'
    assert why.other_task(dict(model=dict(type='FCOS'))) == 'no training'


def test_folders_of_the_machine_are_not_in_the_table():
    error = FileNotFoundError("No file '/home/me/.venv/configs/gfl.py' | [Errno 2]")
    assert why.brief(error) == "FileNotFoundError: No file 'gfl.py' / [Errno 2]"
    assert why.short('No module x, the current sys.path is: /home/me') == 'No module x'


def test_families_take_turns():
    names = ['a/1', 'a/2', 'a/3', 'b/1', 'c/1', 'c/2']
    listed = [('mmdet', name, Path()) for name in names]
    turns = [name for _, name, _ in stock_configs.in_turns(listed)]
    assert turns == ['a/1', 'b/1', 'c/1', 'a/2', 'c/2', 'a/3']


def test_metrics_are_those_that_evaluators_report():
    assert stock_configs.metric_of([dict(type='CocoMetric', metric=['bbox', 'segm'])]) == (
        'coco/segm_mAP'
    )
    assert stock_configs.metric_of(dict(type='IoUMetric', iou_metrics=['mDice'])) == 'mDice'


def scoped(name):
    import importlib

    from mmengine.registry import init_default_scope

    from dense_al import ops

    ops.install()
    importlib.import_module(f'{name}.datasets')
    init_default_scope(name)


def test_tiny_objects_in_the_place_of_coco(tmp_path):
    scoped('mmdet')
    parts = dict(type='ConcatDataset', datasets=[COCO, COCO])
    cfg = ConfigDict(config(data=dict(type='RepeatDataset', times=3, dataset=parts)))
    cfg.val_evaluator.ann_file = 'data/coco/annotations/instances_val2017.json'
    found = stock_data.overrides(cfg, tmp_path)
    whole = found['train_dataloader']['dataset']
    assert whole.pop('_delete_') and whole['times'] == 3
    first, second = whole['dataset']['datasets']
    assert first['data_root'] != second['data_root']
    assert first['pipeline'] == COCO['pipeline'] and first['filter_cfg'] == COCO['filter_cfg']
    content = json.loads(Path(first['data_root'], first['ann_file']).read_text())
    assert [c['name'] for c in content['categories']] == ['cat', 'dog']
    assert len(content['images']) == 4 and len(content['annotations']) == 8
    assert Path(found['val_evaluator']['ann_file']).is_file()


@pytest.mark.parametrize('shifted', [False, True])
def test_tiny_label_maps_in_the_place_of_a_data_set(shifted, tmp_path):
    scoped('mmseg')
    data = dict(
        type='BaseSegDataset', data_root='data', data_prefix=dict(img_path='a', seg_map_path='b'),
        img_suffix='_rgb.png', seg_map_suffix='_ids.png', reduce_zero_label=shifted,
        metainfo=dict(classes=('a', 'b', 'c')), ann_file='train.txt', pipeline=[])  # fmt: skip
    made = stock_data.replaced(data, tmp_path, iter([0]))
    from mmseg.registry import DATASETS

    dataset = DATASETS.build(made)
    assert len(dataset) == 4
    for i in range(4):
        info = dataset.get_data_info(i)
        assert Path(info['img_path']).name == f'{i}_rgb.png'
        label = np.asarray(Image.open(info['seg_map_path']))
        assert label.min() == int(shifted) and label.max() <= 2 + int(shifted)


def test_other_data_has_no_stand_in(tmp_path):
    scoped('mmseg')
    with pytest.raises(stock_data.NoStandIn, match='images in .npy'):
        stock_data.replaced(dict(type='HSIDrive20Dataset'), tmp_path, iter([0]))


def test_smaller_images_have_sides_that_fit():
    steps = [dict(type='Resize', scale=(1333, 800), keep_ratio=True), dict(type='Pad', size=96)]
    assert stock_data.smaller(steps) == [
        dict(type='Resize', scale=(320, 192), keep_ratio=True),
        dict(type='Pad', size=96),
    ]


def test_three_configs(tmp_path):
    out = tmp_path / 'table.csv'
    for match in ('retinanet/retinanet_r18_fpn_1x_coco.py', 'scnet/scnet_r50_fpn_1x_coco.py',
                  'fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024.py'):  # fmt: skip
        stock_configs.main(['--match', match, '--out', str(out)])
    rows = list(csv.DictReader(out.open()))
    assert [(r['package'], r['reason'], r['acquisition']) for r in rows] == [
        ('mmdet', why.PASSES, 'boxes'),
        ('mmdet', why.REFUSED, ''),
        ('mmseg', why.PASSES, 'regions'),
    ]
    assert 'with_seg' in rows[1]['detail'] and float(rows[0]['parameters']) > 10
    text = out.with_suffix('.md').read_text()
    assert '- mmdet: 1 of 2 that are a task of ours' in text
    assert '| mmseg | fcn | 1 | 1 | 1 |' in text
    # Known rows are not tried again.
    stock_configs.main(['--match', 'retinanet/retinanet_r18_fpn_1x_coco.py', '--out', str(out)])
    assert list(csv.DictReader(out.open())) == rows
    assert stock_table.read_rows(tmp_path / 'none.csv') == []
