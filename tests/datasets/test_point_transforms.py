"""Points through mmdet's augmentations, against images that show where each pixel went."""

import copy

import cv2
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.registry import init_default_scope

from dense_al.datasets.point_boxes import PointBoxes

HEIGHT, WIDTH = 97, 131
BOXES = [[5, 8, 60, 50], [70, 10, 126, 90], [20, 55, 64, 93], [40, 30, 90, 70], [100, 3, 104, 6]]
LOAD = [dict(type='LoadAnnotations', with_bbox=True), dict(type='LoadPoints')]
CASES = {
    'resize': [dict(type='Resize', scale=(257, 190), keep_ratio=True)],
    'shrink': [dict(type='Resize', scale=(80, 60), keep_ratio=True)],
    'stretch': [dict(type='Resize', scale=(173, 61), keep_ratio=False)],
    'choice': [
        dict(type='RandomChoiceResize', scales=[(90, 70), (300, 200)], resize_type='Resize',
             keep_ratio=True)],
    'range': [
        dict(type='RandomResize', scale=(150, 120), ratio_range=(0.5, 2.0), resize_type='Resize',
             keep_ratio=True)],
    'shortest_edge': [dict(type='ResizeShortestEdge', scale=64, max_size=200, keep_ratio=False)],
    'horizontal': [dict(type='RandomFlip', prob=1.0, direction='horizontal')],
    'vertical': [dict(type='RandomFlip', prob=1.0, direction='vertical')],
    'diagonal': [dict(type='RandomFlip', prob=1.0, direction='diagonal')],
    'crop': [dict(type='RandomCrop', crop_size=(60, 50))],
    'crop_share': [dict(type='RandomCrop', crop_size=(0.4, 0.4), crop_type='relative_range')],
    'pad': [dict(type='Pad', size_divisor=32)],
    'square': [dict(type='Pad', pad_to_square=True)],
    'affine': [dict(type='RandomAffine', max_rotate_degree=40, scaling_ratio_range=(0.4, 2.0))],
    'rotate': [dict(type='Rotate', level=10, max_mag=90.0)],
    'shear_x': [dict(type='ShearX', level=8)],
    'shear_y': [dict(type='ShearY', level=8)],
    'translate_x': [dict(type='TranslateX', level=5)],
    'translate_y': [dict(type='TranslateY', level=5)],
    'shift': [dict(type='RandomShift', prob=1.0, max_shift_px=30)],
    'expand': [dict(type='Expand', prob=1.0, mean=(0, 0, 0))],
    'min_iou_crop': [dict(type='MinIoURandomCrop', min_ious=(0.0,))],
    'centre_crop_pad': [
        dict(type='RandomCenterCropPad', crop_size=(90, 70), ratios=(0.8, 1.0, 1.3),
             mean=[0, 0, 0], std=[1, 1, 1], to_rgb=False, border=20, test_mode=False,
             test_pad_mode=None)],
    'stock': [
        dict(type='RandomChoiceResize', scales=[(190, 150), (300, 200)], keep_ratio=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='RandomCrop', crop_size=(0.6, 0.6), crop_type='relative'),
        dict(type='FilterAnnotations', min_gt_bbox_wh=(6, 6), keep_empty=False),
        dict(type='Pad', size_divisor=32)],
    'all': [
        dict(type='RandomAffine', max_rotate_degree=20, scaling_ratio_range=(0.5, 1.5)),
        dict(type='Resize', scale=(260, 200), keep_ratio=False),
        dict(type='RandomFlip', prob=[0.3, 0.3, 0.3],
             direction=['horizontal', 'vertical', 'diagonal']),
        dict(type='RandomCrop', crop_size=(150, 120)),
        dict(type='Rotate', prob=0.5, max_mag=30.0),
        dict(type='Resize', scale_factor=0.7, keep_ratio=True)],
}  # fmt: skip


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


def coordinates():
    """An image whose colours say where a pixel is: x and y of its centre, and 1."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32) + 0.5
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def record(seed=0, image=None):
    """An image with instances; the class is the instance's number, their points differ."""
    rng = np.random.default_rng(seed)
    instances = []
    for number, (x1, y1, x2, y2) in enumerate(BOXES):
        n = 3 * number + 2
        where = rng.integers([x1, y1], [x2, y2], (n, 2))
        instances.append(
            dict(bbox=[x1, y1, x2, y2], bbox_label=number, ignore_flag=0, points=where.tolist(),
                 point_labels=rng.integers(0, 2, n).tolist()))  # fmt: skip
    image = coordinates() if image is None else image
    shape = image.shape[:2]
    return dict(img=image, img_shape=shape, ori_shape=shape, instances=instances)


def run(results, steps):
    for step in steps:
        results = TRANSFORMS.build(dict(step)).transform(results)
        if results is None:
            return None
    return results


def pipeline(steps, results=None):
    project = dict(type='ProjectPoints')
    return run(record() if results is None else results, [*LOAD, *steps, project])


def looked_up(image, point):
    """Where the pixel at a position came from, and pixels of the source per pixel; or None."""
    at = np.asarray(point) - 0.5
    x, y = np.floor(at).astype(int)
    if x < 1 or y < 1 or x + 3 > image.shape[1] or y + 3 > image.shape[0]:
        return None
    patch = image[y - 1 : y + 3, x - 1 : x + 3]
    if np.abs(patch[..., 2] - 1).max() > 1e-3:
        return None
    fx, fy = at - [x, y]
    weights = np.outer([1 - fy, fy], [1 - fx, fx])
    centre = patch[1:3, 1:3, :2]
    moves = np.stack([centre[0, 1] - centre[0, 0], centre[1, 0] - centre[0, 0]], axis=1)
    return (weights[..., None] * centre).sum((0, 1)), moves


@pytest.mark.parametrize('case', CASES)
def test_points_are_where_their_pixels_are(case):
    given = record()['instances']
    checked = lost = 0
    for seed in range(12):
        np.random.seed(seed)
        results = pipeline(copy.deepcopy(CASES[case]))
        if results is None:
            continue
        image, points, labels = results['img'], results['gt_points'], results['gt_point_labels']
        assert len(points) == len(results['gt_bboxes']) == len(results['gt_bboxes_labels'])
        assert type(results['gt_bboxes']) is HorizontalBoxes
        for row, number in enumerate(results['gt_bboxes_labels']):
            source = np.array(given[number]['points']) + 0.5
            n = len(source)
            assert (labels[row, n:] == -1).all() and (points[row, n:] == -1).all()
            kept = labels[row, :n] >= 0
            assert (labels[row, :n][kept] == np.array(given[number]['point_labels'])[kept]).all()
            assert (points[row, :n][~kept] == -1).all()
            for k in np.flatnonzero(kept):
                found = looked_up(image, points[row, k])
                if found is not None:
                    off = np.linalg.solve(found[1], found[0] - source[k])
                    assert np.abs(off).max() < 0.5, (seed, number, k, off)
                    checked += 1
            for k in np.flatnonzero(~kept):  # its pixel is not to be seen
                away = np.abs(image[..., :2] - source[k]).max(-1)
                away[np.abs(image[..., 2] - 1) > 1e-3] = np.inf
                assert away.min() > 0.2, (seed, number, k)
                lost += 1
    assert checked > 100
    if 'crop' in case:
        assert lost > 10


def test_by_a_tenth_of_a_pixel_where_nothing_is_rounded():
    given = record()['instances']
    exact = ['resize', 'stretch', 'horizontal', 'diagonal', 'crop', 'affine', 'rotate', 'shear_x']
    for case in exact:
        np.random.seed(1)
        results = pipeline(copy.deepcopy(CASES[case]))
        for row, number in enumerate(results['gt_bboxes_labels']):
            for k in np.flatnonzero(results['gt_point_labels'][row] >= 0):
                found = looked_up(results['img'], results['gt_points'][row, k])
                if found is not None:
                    off = found[0] - given[number]['points'][k] - 0.5
                    assert np.abs(np.linalg.solve(found[1], off)).max() < 0.1, (case, off)


@pytest.mark.parametrize('case', ['resize', 'stretch', 'horizontal', 'vertical', 'diagonal', 'crop',
                                  'stock', 'translate_x'])  # fmt: skip
def test_as_the_recorded_homography_says(case):
    np.random.seed(3)
    results = pipeline(copy.deepcopy(CASES[case]))
    for row, number in enumerate(results['gt_bboxes_labels']):
        source = np.array(record()['instances'][number]['points']) + 0.5
        moved = np.c_[source, np.ones(len(source))] @ results['homography_matrix'].T
        kept = results['gt_point_labels'][row, : len(source)] >= 0
        wanted = moved[:, :2] / moved[:, 2:]
        found = results['gt_points'][row, : len(source)]
        np.testing.assert_allclose(found[kept], wanted[kept], atol=1e-3)


@pytest.mark.parametrize('case', ['horizontal', 'diagonal', 'crop', 'pad', 'shift', 'expand'])
def test_single_bright_pixels(case):
    for seed in range(8):
        np.random.seed(seed)
        x, y = np.random.randint(20, 60), np.random.randint(56, 93)  # in the third box
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[y, x] = 255
        results = record(image=image)
        for number, instance in enumerate(results['instances']):
            at = [[x, y]] if number == 2 else []
            instance.update(points=at, point_labels=[1] * len(at))
        np.random.seed(seed)
        results = pipeline(copy.deepcopy(CASES[case]), results)
        rows = np.argwhere(results['img'][..., 0] == 255)
        mine = results['gt_bboxes_labels'] == 2
        if len(rows):
            assert results['gt_points'][mine][0, 0].tolist() == [rows[0][1] + 0.5, rows[0][0] + 0.5]
        else:
            assert (results['gt_point_labels'][mine] == -1).all()


def test_an_enlarged_bright_pixel_is_centred_on_its_point():
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[60, 33] = 240
    results = record(image=image)
    results['instances'][2].update(points=[[33, 60]], point_labels=[0])
    results = pipeline([dict(type='Resize', scale=(4 * WIDTH, 3 * HEIGHT))], results)
    light = results['img'][..., 0].astype(float)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    centre = [(light * x).sum() / light.sum(), (light * y).sum() / light.sum()]
    np.testing.assert_allclose(results['gt_points'][2, 0], centre, atol=0.1)


@pytest.mark.parametrize('kind', ['Mosaic', 'CachedMosaic', 'MixUp', 'CachedMixUp'])
def test_several_images_in_one(kind):
    def loaded(seed):
        results = record(seed)
        results['img'] = np.full((HEIGHT, WIDTH, 3), 10 * seed + 20, np.uint8)
        for n, instance in enumerate(results['instances']):
            instance['bbox_label'] = 10 * seed + n
            for x, y in instance['points']:
                cv2.circle(results['img'], (x, y), 2, [250, n, seed], -1)
        return run(results, LOAD)

    np.random.seed(0)
    results = loaded(0)
    results['mix_results'] = [loaded(i) for i in (1, 2, 3)][: 1 if 'MixUp' in kind else 3]
    options = dict(img_scale=(160, 128))
    if 'MixUp' in kind:
        options.update(ratio_range=(1.0, 1.0), flip_ratio=0.0)
    step = TRANSFORMS.build(dict(type=kind, **options))
    if kind.startswith('Cached'):
        step.results_cache = [loaded(i) for i in range(1, 6)]
        step.max_cached_images = 5
        for cached in step.results_cache:
            cached.pop('mix_results', None)
    results = run(step.transform(results), [dict(type='ProjectPoints')])
    assert len(set(results['gt_bboxes_labels'] // 10)) > 1
    assert len(results['gt_points']) == len(results['gt_bboxes_labels'])
    light = 250 if 'Mosaic' in kind else 130  # MixUp is the mean of two images
    seen = []
    for where, answers in zip(results['gt_points'], results['gt_point_labels']):
        at = np.floor(where[answers >= 0]).astype(int)
        seen += list(results['img'][at[:, 1], at[:, 0], 0] >= 0.6 * light)
    assert len(seen) > 30 and np.mean(seen) > 0.95, np.mean(seen)


def test_packed_for_the_model():
    results = record()
    results['instances'][1]['ignore_flag'] = 1
    results['instances'][0].update(points=[[6, 9]], point_labels=[-1])
    results = run(pipeline(CASES['horizontal'], results), [dict(type='PackPointInputs')])
    given = results['data_samples'].gt_instances
    assert given.points.shape == (4, 14, 2) and given.points.dtype.is_floating_point
    assert given.point_labels.shape == (4, 14) and str(given.point_labels.dtype) == 'torch.int64'
    assert given.labels.tolist() == [0, 2, 3, 4]
    assert (given.point_labels[0] == -1).all() and (given.point_labels[3, :14] >= 0).all()
    assert given.has_mask.tolist() == [False] * 4 and 'masks' not in given
    assert len(results['data_samples'].ignored_instances.points) == 1


def test_an_image_without_instances():
    results = record()
    results['instances'] = []
    packed = run(pipeline(CASES['resize'], results), [dict(type='PackPointInputs')])
    given = packed['data_samples'].gt_instances
    assert given.points.shape == (0, 0, 2) and given.point_labels.shape == (0, 0)


@pytest.mark.parametrize('poly2mask', [True, False])
def test_full_masks_travel_beside_points(poly2mask):
    results = record()
    for number, instance in enumerate(results['instances']):
        x1, y1, x2, y2 = instance['bbox']
        instance['mask'] = [[x1, y1, x2, y1, x1, y2]]  # a triangle
        instance['has_mask'] = number == 1
    load = [dict(LOAD[0], with_mask=True, poly2mask=poly2mask), LOAD[1]]
    np.random.seed(0)
    steps = [*load, *CASES['crop'], *CASES['horizontal'], dict(type='ProjectPoints')]
    packed = run(run(results, steps), [dict(type='PackPointInputs')])
    given = packed['data_samples'].gt_instances
    assert given.has_mask.tolist() == (given.labels == 1).tolist() and 1 in given.labels
    assert type(given.masks) is (BitmapMasks if poly2mask else PolygonMasks)
    areas = (given.bboxes.areas).numpy()
    shares = given.masks.areas / areas
    assert (shares[~given.has_mask.numpy()] > 0.95).all()  # the box stands in for the mask
    assert (shares[given.has_mask.numpy()] < 0.8).all()


@pytest.mark.parametrize(
    'step',
    [dict(type='RandomErasing', n_patches=1, ratio=0.1),
     dict(type='RandomCrop', crop_size=(90, 80), recompute_bbox=True)],
)  # fmt: skip
def test_transforms_that_lose_points_are_refused(step):
    results = record()
    for instance in results['instances']:
        x1, y1, x2, y2 = instance['bbox']
        instance['mask'] = [[x1, y1, x2, y1, x1, y2]]
    load = [dict(LOAD[0], with_mask=True), LOAD[1]]
    with pytest.raises(ValueError, match='RandomErasing'):
        run(results, [*load, step, dict(type='ProjectPoints')])


def change(**kwargs):
    results = record()
    results['instances'][0].update(kwargs)
    return results


@pytest.mark.parametrize(
    'results, steps, message',
    [
        (record(), [LOAD[0], dict(type='ProjectPoints')], 'put `LoadPoints` before'),
        (record(), [LOAD[1]], 'as `LoadAnnotations`'),
        (record(), [dict(LOAD[0], box_type=None), LOAD[1]], 'hbox'),
        (record(), [LOAD[0], *CASES['resize'], LOAD[1]], 'before all that moves'),
        (change(points=[[1, 2]], point_labels=[1, 0]), LOAD, '1 points and 2 labels'),
        (change(points=[[1.5, 2]], point_labels=[1]), LOAD, 'whole pixels in instance 0'),
        (change(points=[[1, 2]], point_labels=[2]), LOAD, r'labels \(-1, 0, 1\)'),
        (change(has_mask=True), LOAD, 'LoadAnnotations.with_mask'),
    ],
)
def test_mistakes_are_named(results, steps, message):
    with pytest.raises(ValueError, match=message):
        run(results, steps)


def test_boxes_behave_as_mmdets_with_their_points():
    points = np.arange(12.0).reshape(3, 2, 2)
    boxes = PointBoxes(np.array(BOXES[:3]), points, np.ones((3, 2)), np.array([True, False, True]))
    copied = copy.deepcopy(boxes)
    copied.translate_([1, 2])
    assert boxes.points[0, 0].tolist() == [0, 1] and copied.points[0, 0].tolist() == [1, 3]
    for index in (np.array([2, 0]), [2, 0], boxes.tensor.new_tensor([2, 0]).long()):
        assert boxes[index].points[:, 0, 0].tolist() == [8, 0]
    assert boxes[np.array([False, True, False])].has_mask.tolist() == [False]
    assert boxes[1].points.shape == (1, 2, 2) and boxes[1:].has_mask.tolist() == [False, True]
    wider = PointBoxes(boxes.tensor, np.zeros((3, 4, 2)), np.zeros((3, 4)), np.zeros(3))
    joined = PointBoxes.cat([boxes, wider])
    assert joined.points.shape == (6, 4, 2) and (joined.labels[:3, 2:] == -1).all()
    assert not PointBoxes.cat([boxes, PointBoxes(boxes.tensor)]).complete
    rotated = boxes.clone()
    rotated.rotate_((10, 10), 90)
    np.testing.assert_allclose(rotated.points[0, 0], [20 - 1 + 0, 0], atol=1)
    with pytest.raises(ValueError, match='of 3 boxes'):
        PointBoxes(boxes.tensor, points[:2], np.ones((2, 2)), np.ones(2))
