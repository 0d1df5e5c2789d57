"""Pascal VOC through the command line: XML annotations, two data sets joined into one pool."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from dense_al.engine import INITIAL, RunStore
from dense_al.engine.main import MISTAKE, main
from dense_al.pool import BoxStore
from dense_al.structures import Manifest

CONFIG = """
_base_ = ['mmdet::pascal_voc/retinanet_r50_fpn_1x_voc0712.py']
acquisition = dict(type='BoxUncertainty', score_thr=0.0)
oracle = dict(type='GroundTruth')
budget = dict(per_round=3, unit='units')
rounds = dict(count=2, iterations=2, metric='pascal_voc/mAP',
              initial=dict(budget=dict(per_round=5)))
model = dict(
    backbone=dict(depth=18, base_channels=4, stem_channels=4, init_cfg=None, frozen_stages=-1),
    neck=dict(in_channels=[4, 8, 16, 32], out_channels=8),
    bbox_head=dict(in_channels=8, feat_channels=8, stacked_convs=1))
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
"""
OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>
<xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax>
</bndbox></object>"""


def write_images(root, year, split, first, count):
    """Images with a bicycle, a difficult dog and, on odd ones, a small cat."""
    folder = root / f'VOC{year}'
    for part in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (folder / part).mkdir(parents=True, exist_ok=True)
    rng, names = np.random.default_rng(first), []
    for number in range(first, first + count):
        names.append(f'{number:06d}' if year == 2007 else f'{year}_{number:06d}')
        pixels = rng.integers(0, 255, (60, 80, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'JPEGImages/{names[-1]}.jpg')
        objects = [('bicycle', 0, (number % 8 + 1, 5, 60, 55)), ('dog', 1, (1, 1, 40, 40))]
        objects += [('cat', 0, (10, 10, 20, 20))] if number % 2 else []
        text = ''.join(OBJECT.format(name=n, difficult=d, box=b) for n, d, b in objects)
        size = '<size><width>80</width><height>60</height><depth>3</depth></size>'
        xml = f'<annotation>{size}{text}</annotation>'
        (folder / f'Annotations/{names[-1]}.xml').write_text(xml)
    (folder / f'ImageSets/Main/{split}.txt').write_text('\n'.join(names) + '\n')


@pytest.fixture
def voc(tmp_path, monkeypatch):
    root = tmp_path / 'data/VOCdevkit'
    write_images(root, 2007, 'trainval', 1, 6)
    write_images(root, 2012, 'trainval', 11, 4)
    write_images(root, 2007, 'test', 21, 2)
    monkeypatch.chdir(tmp_path)
    Path('mine.py').write_text(CONFIG)
    return root


def test_joined_data_sets_are_one_pool(voc, capsys):
    assert main(['mine.py', '--dry-run']) == 0
    out = capsys.readouterr().out
    assert 'samples   10' in out and '20 classes' in out
    assert main(['mine.py', '--work-dir', 'run']) == 0
    store, names = RunStore(Path('run')), Manifest.load(Path('run/manifest.parquet')).names
    assert [n.split('/')[0] for n in names] == ['VOC2007'] * 6 + ['VOC2012'] * 4
    answers = [a for r in range(INITIAL, 1) for a in store.answers(r)]
    assert len(answers) == 8
    boxes = BoxStore(answers)
    for sample in boxes.samples:
        path = voc / names[sample].replace('JPEGImages', 'Annotations').replace('.jpg', '.xml')
        found = boxes.boxes(sample)
        wanted = [
            [int(side.text) - 1 for side in o.find('bndbox')]
            for o in ElementTree.parse(path).findall('object')
            if o.find('difficult').text == '0'
        ]
        assert found.boxes.tolist() == wanted
        assert found.labels.tolist() == [1, 7][: len(wanted)]  # bicycle, cat
    assert 'pascal_voc/mAP' in store.read(1, 'train')['metrics']


def test_small_objects_are_ignored_as_the_filter_says():
    from dense_al.datasets.detection import PoolDetDataset
    from dense_al.structures import Boxes

    class Store:
        def holds(self, sample):
            return True

        def boxes(self, sample):
            return Boxes(np.array([[0, 0, 31, 50], [0, 0, 50, 31], [0, 0, 32, 32]]), [0, 1, 2])

    record = dict(img_path='a.jpg', img_id='a', height=60, width=80)
    for least_side, flags in ((32, [1, 1, 0]), (0, [0, 0, 0])):
        dataset = PoolDetDataset([record], [0], Store(), None, {}, [], least_side=least_side)
        assert [o['ignore_flag'] for o in dataset.get_data_info(0)['instances']] == flags


def test_other_classes_in_one_part_are_an_error(voc, caplog):
    Path('other.py').write_text(
        "_base_ = ['./mine.py']\n"
        "part = dict(type='VOCDataset', data_root='data/VOCdevkit/', pipeline=[],\n"
        "            ann_file='VOC2007/ImageSets/Main/trainval.txt',\n"
        "            data_prefix=dict(sub_data_root='VOC2007/'))\n"
        'train_dataloader = dict(dataset=dict(dataset=dict(datasets=[\n'
        "    part, dict(**part, metainfo=dict(classes=('cat',)))])))\n"
    )
    assert main(['other.py', '--dry-run']) == MISTAKE
    assert 'the same classes' in caplog.text and "('cat',)" in caplog.text
