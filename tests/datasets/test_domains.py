"""Source domains and Cityscapes in their own layouts give one set of labels."""

import cv2
import numpy as np
import pytest
from domain_layouts import (
    CITYSCAPES_IDS,
    SYNTHIA_IDS,
    train_ids,
    write_cityscapes,
    write_gta5,
    write_synthia,
)
from mmengine.registry import init_default_scope
from mmseg.datasets import CityscapesDataset
from mmseg.registry import DATASETS
from PIL import Image

from dense_al.datasets.domains import (
    CITYSCAPES_CLASSES,
    GTA5_LEFT_OUT,
    ID_TABLES,
    SYNTHIA_13,
    SYNTHIA_16,
    LoadAnnotationsFromIds,
)
from dense_al.datasets.pipelines import annotation_loader, without_annotations


@pytest.fixture(autouse=True, scope='module')
def scope():
    init_default_scope('mmseg')


def pipeline(**loader):
    return [dict(type='LoadImageFromFile'), loader, dict(type='PackSegInputs')]


def dataset(kind, root, loader, **more):
    return DATASETS.build(dict(type=kind, data_root=str(root), pipeline=pipeline(**loader), **more))


def labels(found):
    return [found[i]['data_samples'].gt_sem_seg.data[0].numpy() for i in range(len(found))]


CITY_IDS = dict(type='LoadAnnotationsFromIds', ids='cityscapes')
SYN_IDS = dict(type='LoadAnnotationsFromIds', ids='synthia')


@pytest.mark.parametrize('ids', ['cityscapes', 'synthia'])
def test_every_id_has_its_class(ids):
    by_name = CITYSCAPES_IDS if ids == 'cityscapes' else SYNTHIA_IDS
    lookup = ID_TABLES[ids].lookup
    found = {CITYSCAPES_CLASSES[t]: raw for raw, t in enumerate(lookup) if t != 255}
    assert found == by_name
    assert len(lookup) == (35 if ids == 'cityscapes' else 23)


def test_synthia_lacks_three_classes_or_six():
    lost = [i for i, c in enumerate(CITYSCAPES_CLASSES) if c not in SYNTHIA_16]
    assert lost == [9, 14, 16] and len(SYNTHIA_16) == 16
    assert [i for i, c in enumerate(SYNTHIA_16) if c not in SYNTHIA_13] == [3, 4, 5]


def test_gta5(tmp_path):
    root, drawn = write_gta5(tmp_path, count=4)
    assert Image.open(root / 'labels/00001.png').mode == 'P'
    found = dataset('GTA5Dataset', root, CITY_IDS)
    assert found.metainfo['classes'] == CITYSCAPES_CLASSES
    for label, wanted in zip(labels(found), drawn, strict=True):
        np.testing.assert_array_equal(label, train_ids(wanted, CITYSCAPES_CLASSES))
    assert found[2]['inputs'].shape == (3, 64, 128)


def test_some_images_of_gta5_are_left_out(tmp_path):
    assert len(GTA5_LEFT_OUT) == len(set(GTA5_LEFT_OUT)) == 24966 - 24904
    root, drawn = write_gta5(tmp_path, count=4)
    for number in (15188, 20860):
        for folder in ('images', 'labels'):
            (root / folder / f'{number}.png').write_bytes(
                (root / folder / '00001.png').read_bytes()
            )
    assert len(dataset('GTA5Dataset', root, CITY_IDS)) == 4
    assert len(dataset('GTA5Dataset', root, CITY_IDS, left_out=())) == 6
    found = dataset('GTA5Dataset', root, CITY_IDS, left_out=[2])
    np.testing.assert_array_equal(labels(found)[1], train_ids(drawn[2], CITYSCAPES_CLASSES))
    (tmp_path / 'list.txt').write_text('00003\n00002\n20860\n')
    listed = dataset('GTA5Dataset', root, CITY_IDS, ann_file=str(tmp_path / 'list.txt'))
    assert [info['img_path'][-9:] for info in listed.load_data_list()] == ['00003.png', '00002.png']


@pytest.mark.parametrize('classes', [CITYSCAPES_CLASSES, SYNTHIA_16, SYNTHIA_13])
def test_synthia(tmp_path, classes):
    root, drawn = write_synthia(tmp_path, count=3)
    stored = cv2.imread(str(root / 'GT/LABELS/0000000.png'), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16 and stored.shape == (64, 128, 3)
    found = dataset('SynthiaDataset', root, SYN_IDS, metainfo=dict(classes=classes))
    assert len(found.metainfo['palette']) == len(classes)
    for label, wanted in zip(labels(found), drawn, strict=True):
        np.testing.assert_array_equal(label, train_ids(wanted, classes))


@pytest.mark.parametrize('classes', [CITYSCAPES_CLASSES, SYNTHIA_16])
def test_cityscapes_with_raw_ids_is_the_same(tmp_path, classes):
    root, drawn = write_cityscapes(tmp_path, train=4, val=2)
    for split in ('train', 'val'):
        prefix = dict(img_path=f'leftImg8bit/{split}', seg_map_path=f'gtFine/{split}')
        more = dict(data_prefix=prefix, metainfo=dict(classes=classes))
        stock = dataset('CityscapesDataset', root, dict(type='LoadAnnotations'), **more)
        raw = dataset(
            'CityscapesDataset', root, CITY_IDS, seg_map_suffix='_gtFine_labelIds.png', **more
        )
        for a, b, wanted in zip(labels(stock), labels(raw), drawn[split], strict=True):
            np.testing.assert_array_equal(a, train_ids(wanted, classes))
            np.testing.assert_array_equal(a, b)


def read(path, **more):
    results = dict(seg_map_path=str(path), seg_fields=[], reduce_zero_label=False, **more)
    LoadAnnotationsFromIds(ids=more.get('ids', 'cityscapes')).transform(results)
    return results['gt_seg_map']


def test_files_of_another_kind_are_refused(tmp_path):
    save = lambda array: Image.fromarray(array).save(tmp_path / 'label.png')  # noqa: E731
    save(np.array([[0, 18, 255]], np.uint8))
    with pytest.raises(ValueError, match='ids 0 to 34 in .*label.png, but got 255; train ids'):
        read(tmp_path / 'label.png')
    save(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match='one channel of ids'):
        read(tmp_path / 'label.png')
    save(np.full((2, 2), 26, np.uint8))
    assert read(tmp_path / 'label.png').tolist() == [[13, 13], [13, 13]]
    with pytest.raises(ValueError, match=r'of size \(2, 3\) .* but got \(2, 2\)'):
        read(tmp_path / 'label.png', img=np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(ValueError, match='`ids` to be one of'):
        LoadAnnotationsFromIds(ids='kitti')


def test_synthia_of_one_channel(tmp_path):
    Image.fromarray(np.array([[3, 21, 22]], np.uint8)).save(tmp_path / 'label.png')
    assert read(tmp_path / 'label.png', ids='synthia').tolist() == [[0, 3, 255]]


def test_pipelines_without_labels_leave_the_loader_out():
    steps = pipeline(**CITY_IDS)
    assert annotation_loader(steps) == CITY_IDS
    kept = [step['type'] for step in without_annotations(steps)]
    assert kept == ['LoadImageFromFile', 'PackSegInputs']


def test_classes_are_those_of_mmseg():
    assert CITYSCAPES_CLASSES == CityscapesDataset.METAINFO['classes']
