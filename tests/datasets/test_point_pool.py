"""A trainer sees the answered points and masks of objects, and a predictor their boxes alone."""

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

import dense_al.datasets.points  # noqa: F401  registers
from dense_al.datasets.coco_masks import mask_of, run_lengths
from dense_al.datasets.detection import PoolDetDataset, corners
from dense_al.datasets.pipelines import (
    annotation_loader,
    with_masks,
    with_points,
    without_annotations,
)
from dense_al.pool import BoxStore, InstanceStore, Ledger, TagStore
from dense_al.registry import ConfigError
from dense_al.structures import Answer, Boxes, Inside, Instances, Mask, Tags

H, W = 20, 30
STOCK = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(60, 40), keep_ratio=True),
    dict(type='RandomFlip', prob=1.0),
    dict(type='PackDetInputs'),
]
BOXES = Boxes([[2, 3, 12, 13], [10, 0, 30, 20], [5, 5, 6, 9]], [2, 0, 1])
DRAWN = Instances(
    BOXES.boxes, BOXES.labels,
    [[[2, 3], [4, 5]], [[10, 0], [29, 19]], [[5, 5], [5, 8]]], [[0, 1], [1, -1], [1, 0]],
)  # fmt: skip


def blob():
    mask = np.zeros((H, W), bool)
    mask[4:11, 3:9] = True
    return mask


def answer(label, sample=0, instance=-1, unit=0, kind='image'):
    status = 'declined' if label is None else 'answered'
    payload = b'' if label is None else label.encode()
    return Answer(sample, instance, unit, kind, status, 'x', 1, 0, 0, 0, -1, payload)


def ledger():
    """An image with points, one point answered later, one declined, one mask; two others."""
    return Ledger([
        [answer(DRAWN), answer(Boxes([], []), 1), answer(Tags([1]), 2, kind='tags')],
        [answer(Inside(True), 0, 1, 7 * W + 15, 'point'), answer(None, 0, 0, 4 * W + 4, 'point')],
        [answer(Mask.of_array(blob()), instance=0, kind='instance')],
    ])  # fmt: skip


@pytest.fixture
def dataset(tmp_path):
    init_default_scope('mmdet')
    records = []
    for i in range(3):
        path = str(tmp_path / f'{i}.png')
        Image.fromarray(np.full((H, W, 3), i, np.uint8)).save(path)
        secret = dict(bbox=[0, 0, 1, 1], bbox_label=1, ignore_flag=0, mask=[[0, 0, 1, 0, 1, 1]])
        record = dict(img_path=path, img_id=i, height=H, width=W, instances=[secret])
        records.append({**record, 'seg_map_path': 'secret'})

    def build(answers=None, pipeline=(), samples=(0, 1, 2), **more):
        return PoolDetDataset(
            records, samples, answers, TagStore(ledger().in_force()), dict(classes=('a', 'b', 'c')),
            list(pipeline), **more)  # fmt: skip

    return build


def instances():
    given = ledger()
    widths = np.full(3, W)
    return InstanceStore(given.in_force(), widths, given.units_asked('point'))


def test_records_hold_what_was_answered_of_masks_and_no_more(dataset):
    first, second, third = dataset(instances()).load_data_list()
    assert [i['bbox'] for i in first['instances']] == BOXES.boxes.tolist()
    assert [i['bbox_label'] for i in first['instances']] == [2, 0, 1]
    assert [i['points'] for i in first['instances']] == [
        [[2, 3], [4, 5]], [[10, 0], [15, 7]], [[5, 5], [5, 8]]]  # fmt: skip
    assert [i['point_labels'] for i in first['instances']] == [[0, 1], [1, 1], [1, 0]]
    assert [i['has_mask'] for i in first['instances']] == [1, 0, 0]
    assert first['instances'][0]['mask'] == Mask.of_array(blob()).rle()
    assert (
        first['instances'][1]['mask']
        == [[10, 0, 30, 0, 30, 20, 10, 20]]
        == corners(BOXES.boxes[1].tolist())
    )
    assert second['instances'] == third['instances'] == []
    assert [r['level'] for r in (first, second, third)] == ['full', 'full', 'weak']
    assert (third['tags'], first['tags']) == ([1], [0, 1, 2])
    assert not any('seg_map_path' in r or 'objects' in r for r in (first, second, third))


def test_a_box_store_tells_boxes_alone(dataset):
    first, *_ = dataset(BoxStore(ledger().in_force())).load_data_list()
    assert set(first['instances'][0]) == {'bbox', 'bbox_label', 'ignore_flag'}


def test_small_objects_are_ignored(dataset):
    first, second, _ = dataset(instances(), least_side=2).load_data_list()
    assert [i['ignore_flag'] for i in first['instances']] == [0, 0, 1]
    assert second['instances'] == []


def test_a_trainer_gets_points_and_masks_in_the_pixels_of_its_image(dataset):
    found = dataset(instances(), with_points(STOCK))[0]['data_samples'].gt_instances
    assert found.labels.tolist() == [2, 0, 1] and found.has_mask.tolist() == [True, False, False]
    # Twice as large and mirrored: pixel x, y is centred at 2 (W - x - 0.5), 2 (y + 0.5).
    wanted = [[[2, 3], [4, 5]], [[10, 0], [15, 7]], [[5, 5], [5, 8]]]
    x, y = np.moveaxis(np.array(wanted), -1, 0)
    np.testing.assert_allclose(found.points, np.stack([2 * (W - x - 0.5), 2 * y + 1], -1))
    assert found.point_labels.tolist() == [[0, 1], [1, 1], [1, 0]]
    masks = found.masks.to_ndarray().astype(bool)
    np.testing.assert_array_equal(masks[0], blob()[:, ::-1].repeat(2, 0).repeat(2, 1))
    assert masks[1].sum() == 40 * 40 and masks[1][:, :40].all()  # its box


def test_a_stock_trainer_gets_the_masks(dataset):
    whole = Instances.with_masks(
        Boxes(BOXES.boxes[:1], [2]), (Mask.of_array(blob()),))  # fmt: skip
    store = InstanceStore([answer(whole)], np.full(3, W))
    data = dataset(store, with_masks(STOCK), [0])[0]
    found = data['data_samples'].gt_instances
    np.testing.assert_array_equal(
        found.masks.to_ndarray()[0], blob()[:, ::-1].repeat(2, 0).repeat(2, 1)
    )
    assert 'points' not in found


def test_an_image_without_objects_trains_too(dataset):
    found = dataset(instances(), with_points(STOCK))[1]['data_samples'].gt_instances
    assert len(found) == 0 and len(found.points) == len(found.has_mask) == 0


def test_a_predictor_gets_the_boxes_in_its_metainfo(dataset):
    from dense_al.adapters.surgery import packed

    pipeline = packed(without_annotations(STOCK), ('sample', 'objects', 'object_labels'))
    data = dataset(None, pipeline, [0, 2], objects=BoxStore(ledger().in_force()))
    meta = data[0]['data_samples'].metainfo
    assert meta['objects'] == BOXES.boxes.tolist() and meta['object_labels'] == [2, 0, 1]
    assert (meta['sample'], data[1]['data_samples'].sample) == (0, 2)
    assert data[1]['data_samples'].objects == data[1]['data_samples'].object_labels == []
    assert 'bboxes' not in data[0]['data_samples'].gt_instances
    assert data.load_data_list()[0]['instances'] == []


def names(pipeline):
    return [step['type'] for step in pipeline]


@pytest.mark.parametrize('scope', ['', 'mmdet.'])
def test_steps_that_carry_points(scope):
    stock = [{**step, 'type': scope + step['type']} for step in STOCK]
    before = [dict(step) for step in stock]
    found = with_points(stock)
    assert [name.rsplit('.')[-1] for name in names(found)] == [
        'LoadImageFromFile', 'LoadAnnotations', 'LoadPoints', 'Resize', 'RandomFlip',
        'ProjectPoints', 'PackPointInputs']  # fmt: skip
    assert found[1]['with_mask'] and found[1]['poly2mask'] and found[1]['with_bbox']
    assert names(with_masks(stock)) == names(stock) and with_masks(stock)[1]['with_mask']
    assert stock == before  # copies


@pytest.mark.parametrize('missing', ['LoadAnnotations', 'PackDetInputs'])
def test_pipelines_that_cannot_carry_points_are_refused(missing):
    stock = [step for step in STOCK if step['type'] != missing]
    with pytest.raises(ConfigError, match='`LoadAnnotations` and `PackDetInputs`.*Resize'):
        with_points(stock)


def test_the_keys_that_are_packed_stay():
    stock = [*STOCK[:-1], dict(type='PackDetInputs', meta_keys=('img_id', 'tags'))]
    assert with_points(stock)[-1] == dict(type='PackPointInputs', meta_keys=('img_id', 'tags'))


def test_no_label_file_is_opened():
    kept = without_annotations(with_points(STOCK))
    assert names(kept) == ['LoadImageFromFile', 'Resize', 'RandomFlip', 'PackPointInputs']
    assert annotation_loader(STOCK) == STOCK[1]
    assert annotation_loader(STOCK[:1]) == dict(type='LoadAnnotations')


def test_masks_as_coco_writes_them():
    square = [[3, 4, 9, 4, 9, 11, 3, 11]]
    halves = [[3, 4, 6, 4, 6, 11, 3, 11], [6, 4, 9, 4, 9, 11, 6, 11]]
    runs = [3 * H + 4, *[7, 13] * 5, 7, H * W - 8 * H - 11]
    code = Mask.of_array(blob()).rle()
    given = [square, halves, dict(size=[H, W], counts=runs), code]
    given.append({**code, 'counts': code['counts'].encode()})
    for mask in given:
        np.testing.assert_array_equal(mask_of(mask, (H, W), 'x').array(), blob())
    assert run_lengths(code['counts']) == runs


@pytest.mark.parametrize('seed', range(5))
def test_runs_of_a_code(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 60, 2)) > rng.random()
    flat = np.concatenate([[0], mask.ravel(order='F')])
    turns = np.flatnonzero(np.diff(flat))
    wanted = np.diff(np.concatenate([[0], turns, [mask.size]]))
    assert run_lengths(Mask.of_array(mask).counts) == wanted.tolist()


CODE = Mask.of_array(blob()).rle()


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (None, r'`segmentation`.*but cat\.png lacks some'),
        ([], 'lacks some'),
        ([[1, 2, 3]], r'Could not read a mask of cat\.png'),
        ({'counts': 'x'}, r'Could not read a mask of cat\.png'),
        ({**CODE, 'size': [H + 1, W]}, r'of \(20, 30\).*in cat\.png, but got \(21, 30\)'),
        ({**CODE, 'counts': CODE['counts'][:4]}, r'of 600 pixels in cat\.png, but got'),
        ({**CODE, 'counts': [5, 6]}, r'of 600 pixels in cat\.png, but got 11'),
    ],
)
def test_wrong_masks_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        mask_of(given, (H, W), 'cat.png')
