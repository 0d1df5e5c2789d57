"""mmdet's data sets of VOC 2007 and COCO 2014 with published proposals."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mmdet')

from layouts import COCO_SETS, VOC_SETS, coco_label, voc_label, write_coco, write_voc  # noqa: E402
from mmdet.datasets import CocoDataset, VOCDataset  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

from dense_al.proposals import box_iou, read_mmdet  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'tools'))
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadProposals', num_max_proposals=30),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='ProposalBroadcaster',
        transforms=[
            dict(type='Resize', scale=(192, 192), keep_ratio=True),
            dict(type='RandomFlip', prob=1.0),
        ],
    ),
    dict(type='PackDetInputs'),
]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


@pytest.fixture(scope='module')
def voc(tmp_path_factory):
    return write_voc(tmp_path_factory.mktemp('voc'))


@pytest.fixture(scope='module')
def coco(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp('coco'))


def voc_data(voc, split, out, pipeline=()):
    import make_proposals as tool

    given = [voc.pickles[s] for s in (('train', 'val') if split == 'trainval' else (split,))]
    command = [str(voc.root), '--sets', split, '--out', str(out), '--from', *map(str, given)]
    assert tool.main(command) == 0
    return VOCDataset(
        data_root=str(voc.root.parent),
        ann_file=f'VOC2007/ImageSets/Main/{split}.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        proposal_file=str(out),
        pipeline=list(pipeline),
    )


def coco_data(coco, split, out, pipeline=(), **more):
    import make_proposals as tool

    source = str(coco.root / 'annotations' / f'instances_{split}.json')
    assert tool.main([source, '--out', str(out), '--from', str(coco.pickles[split])]) == 0
    return CocoDataset(
        data_root=str(coco.root),
        ann_file=f'annotations/instances_{split}.json',
        data_prefix=dict(img=f'{split}/'),
        proposal_file=str(out),
        pipeline=list(pipeline),
        **more,
    )


@pytest.mark.parametrize('split', ['trainval', 'test'])
def test_voc(voc, tmp_path, split):
    data = voc_data(voc, split, tmp_path / 'x.pkl')
    numbers = (
        sorted(VOC_SETS['train'] + VOC_SETS['val']) if split == 'trainval' else VOC_SETS[split]
    )
    assert [data.get_data_info(i)['img_id'] for i in range(len(data))] == [
        f'{n:06d}' for n in numbers
    ]
    for i, scene in enumerate(voc.scenes[split]):
        info = data.get_data_info(i)
        labels = [voc_label(label) for label in scene.labels]
        assert [o['bbox_label'] for o in info['instances']] == labels
        assert [o['ignore_flag'] for o in info['instances']] == [0] * (len(labels) - 1) + [1]
        boxes = np.array([o['bbox'] for o in info['instances']])
        # mmdet keeps the last pixel of VOC's boxes as their end; proposals end behind it.
        assert np.array_equal(boxes + [0, 0, 1, 1], scene.boxes)
        overlap = box_iou(scene.boxes, info['proposals']['bboxes'])
        assert (overlap.max(axis=1) == 1).all()


@pytest.mark.parametrize('split', list(COCO_SETS))
def test_coco(coco, tmp_path, split):
    data = coco_data(coco, split, tmp_path / 'x.pkl')
    assert len(data) == len(COCO_SETS[split])
    for i, scene in enumerate(coco.scenes[split]):
        info = data.get_data_info(i)
        assert info['img_id'] == COCO_SETS[split][i]
        labels = [coco_label(label) for label in scene.labels]
        assert [o['bbox_label'] for o in info['instances']] == labels
        crowd = [o['ignore_flag'] for o in info['instances']]
        assert crowd == [int(i == 0 and k == len(labels) - 1) for k in range(len(labels))]
        boxes = np.array([o['bbox'] for o in info['instances']]).reshape(-1, 4)
        assert np.array_equal(boxes, scene.boxes)
        scores = info['proposals']['scores']
        assert scores[0] == 1 and (np.diff(scores) <= 0).all()
        assert (box_iou(boxes, info['proposals']['bboxes']).max(axis=1) == 1).all()


def test_crowds_are_masks(coco):
    from pycocotools.coco import COCO

    for split, scenes in coco.scenes.items():
        data = COCO(coco.root / 'annotations' / f'instances_{split}.json')
        (crowd,) = data.loadAnns(data.getAnnIds(iscrowd=True))
        assert np.array_equal(data.annToMask(crowd), scenes[0].masks[-1])
        assert len(data.cats) == 80 and max(data.cats) == 90


def test_proposals_go_through_a_pipeline(voc, coco, tmp_path):
    sets = [
        (voc_data(voc, 'trainval', tmp_path / 'v.pkl', PIPELINE), tmp_path / 'v.pkl'),
        (coco_data(coco, 'train2014', tmp_path / 'c.pkl', PIPELINE), tmp_path / 'c.pkl'),
    ]
    for data, path in sets:
        found = read_mmdet(path)
        for i in range(len(data)):
            sample = data[i]['data_samples']
            boxes = sample.proposals.bboxes.numpy()
            name = Path(sample.img_path)
            given = found[f'{name.parent.name}/{name.name}'].boxes[:30]
            assert sample.img_shape == (192, 192)
            flipped = np.stack([96 - given[:, 2], given[:, 1], 96 - given[:, 0], given[:, 3]], 1)
            np.testing.assert_allclose(boxes, 2 * flipped, atol=1e-3)


def test_a_filtered_data_set_keeps_its_proposals(coco, tmp_path):
    filters = dict(filter_empty_gt=True, min_size=32)
    data = coco_data(coco, 'train2014', tmp_path / 'x.pkl', filter_cfg=filters)
    assert len(data) == len(COCO_SETS['train2014']) - 1
    for i, scene in enumerate(coco.scenes['train2014'][:-1]):
        overlap = box_iou(scene.boxes, data[i]['proposals']['bboxes'])
        assert (overlap.max(axis=1) == 1).all()


def test_proposals_of_another_set_are_refused(voc, tmp_path, capsys):
    import make_proposals as tool

    command = [str(voc.root), '--sets', 'trainval', '--out', str(tmp_path / 'x.pkl'), '--from']
    assert tool.main([*command, str(voc.pickles['train'])]) == 2
    assert '000007.jpg, JPEGImages/009963.jpg' in capsys.readouterr().err
