"""Maps of given objects equal what mmdet's heads say, sampled pixel by pixel the plain way."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData

import dense_al.models.point_sup_condinst  # noqa: F401  registers
from dense_al import ops
from dense_al.acquisition.functional import pixel_boxes
from dense_al.adapters import mmdet_masks
from dense_al.adapters.mmdet_masks import best_of_each, mask_reader_of, object_maps
from dense_al.registry import ConfigError
from dense_al.structures import MaskOptions

NORM = dict(type='GN', num_groups=4)
CODER = dict(type='DeltaXYWHBBoxCoder')
BINARY = dict(type='CrossEntropyLoss', use_sigmoid=True)
PROPOSALS = dict(nms_pre=400, max_per_img=300, nms=dict(type='nms', iou_threshold=0.95),
                 min_bbox_size=0)  # fmt: skip


def condinst():
    from conftest import CONFIGS

    cfg = Config.fromfile(CONFIGS / '_base_/sandbox/glyphs_masks.py').model
    cfg.backbone.update(base_channels=4, stem_channels=4, init_cfg=None)
    cfg.neck.update(in_channels=[4, 8, 16], out_channels=8, norm_cfg=NORM)
    cfg.bbox_head.update(in_channels=8, feat_channels=8, norm_cfg=NORM)
    cfg.mask_head.mask_feature_head.update(in_channels=8, feat_channels=8, norm_cfg=NORM)
    return cfg


def mask_rcnn(class_agnostic=False):
    cfg = condinst()
    cfg.type = 'MaskRCNN'
    cfg.pop('bbox_head'), cfg.pop('mask_head')
    cfg.train_cfg = None
    region = dict(type='SingleRoIExtractor', out_channels=8, featmap_strides=[4, 8, 16])
    cfg.rpn_head = ConfigDict(
        type='RPNHead', in_channels=8, feat_channels=8, bbox_coder=CODER, loss_cls=BINARY,
        anchor_generator=dict(type='AnchorGenerator', scales=[5], ratios=[0.7, 1.4],
                              strides=[4, 8, 16]),
        loss_bbox=dict(type='L1Loss'))  # fmt: skip
    cfg.roi_head = ConfigDict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(region, roi_layer=dict(type='RoIAlign', output_size=7)),
        bbox_head=dict(
            type='Shared2FCBBoxHead', in_channels=8, fc_out_channels=16, num_classes=10,
            bbox_coder=CODER, loss_cls=dict(type='CrossEntropyLoss'),
            loss_bbox=dict(type='L1Loss')),
        mask_roi_extractor=dict(region, roi_layer=dict(type='RoIAlign', output_size=7)),
        mask_head=dict(type='FCNMaskHead', num_convs=1, in_channels=8, conv_out_channels=8,
                       num_classes=10, class_agnostic=class_agnostic))  # fmt: skip
    rcnn = dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=20)
    cfg.test_cfg = ConfigDict(rpn=PROPOSALS, rcnn=rcnn)
    return cfg


MODELS = {'condinst': condinst, 'mask_rcnn': mask_rcnn}


@pytest.fixture(scope='module')
def models():
    from mmdet.registry import MODELS as REGISTRY
    from mmengine.registry import init_default_scope

    ops.install()
    init_default_scope('mmdet')
    found = {}
    for name, make in MODELS.items():
        torch.manual_seed(0)
        model = REGISTRY.build(make())
        for parameter in model.parameters():  # fresh heads say the same everywhere
            parameter.data += 0.1 * torch.randn_like(parameter)
        found[name] = model.eval()
    return found


@pytest.fixture(params=MODELS)
def model(models, request):
    return models[request.param]


OBJECTS = [[4, 6, 27, 30.5], [30.2, 10.7, 58, 46], [0, 40, 21, 64.0]]
LABELS = [3, 0, 9]


def image(sample, size=(64, 96), seed=None, scale=(1.0, 1.0), objects=OBJECTS, labels=LABELS):
    """The network's input of an image and what is known of it; scale is that of x and of y."""
    from mmdet.structures import DetDataSample

    generator = torch.Generator().manual_seed(sample if seed is None else seed)
    pixels = torch.randint(0, 255, (3, *size), generator=generator, dtype=torch.uint8)
    shape = (round(size[0] / scale[1]), round(size[1] / scale[0]))
    meta = dict(ori_shape=shape, img_shape=size, scale_factor=scale, sample=sample,
                objects=objects, object_labels=labels[: len(objects)])  # fmt: skip
    return pixels, DetDataSample(metainfo=meta)


def batch(*images):
    return dict(inputs=[p for p, _ in images], data_samples=[copy.deepcopy(s) for _, s in images])


@torch.no_grad()
def maps_of(model, *images, **options):
    return list(object_maps(model, batch(*images), MaskOptions(**options)))


def sampled(cells, box, pixels, scale):
    """(h, w) values of (a, b) cells, which cover a box of the input, at pixels of the original."""
    a, b = cells.shape
    (x1, y1, x2, y2), (left, top, right, bottom) = box, pixels
    found = np.zeros((bottom - top, right - left))
    for y in range(top, bottom):
        for x in range(left, right):
            v = ((y + 0.5) * scale[1] - y1) / (y2 - y1) * a - 0.5
            u = ((x + 0.5) * scale[0] - x1) / (x2 - x1) * b - 0.5
            v, u = min(max(v, 0), a - 1), min(max(u, 0), b - 1)
            i, j = min(int(v), a - 2), min(int(u), b - 2)
            v, u = v - i, u - j
            found[y - top, x - left] = (1 - v) * (
                (1 - u) * cells[i, j] + u * cells[i, j + 1]
            ) + v * ((1 - u) * cells[i + 1, j] + u * cells[i + 1, j + 1])
    return found


@torch.no_grad()
def prepared(model, *images):
    """Feature maps of each image and its sample, as mmdet makes them."""
    data = model.data_preprocessor(batch(*images), False)
    levels = model.extract_feat(data['inputs'])
    return [
        (tuple(level[i : i + 1] for level in levels), sample)
        for i, sample in enumerate(data['data_samples'])
    ], data['inputs'].shape[-2:]


def given_of(sample):
    scale = torch.tensor([*sample.scale_factor] * 2)
    boxes = torch.tensor(sample.objects, dtype=torch.float32).reshape(-1, 4) * scale
    return InstanceData(bboxes=boxes, labels=torch.tensor(sample.object_labels))


IMAGES = {
    'plain': [image(0)],
    'padded': [image(0), image(1, (48, 71), objects=[[2, 3, 30, 30], [40, 1, 70.9, 48]])],
    'scaled': [image(2, (64, 96), scale=(1.5, 0.5), objects=[[2, 11, 30.3, 70], [31, 0, 60, 128]])],
}


@pytest.mark.parametrize('name', IMAGES)
@torch.no_grad()
def test_condinst_says_what_its_training_would_match(models, name):
    """The places that mmdet matches in training, the whole map of each, and its pixels."""
    model, images = models['condinst'], IMAGES[name]
    found = maps_of(model, *images, mean=False, most=10_000)
    means = maps_of(model, *images, most=10_000)
    ready, (height, width) = prepared(model, *images)
    for maps, mean, (levels, sample) in zip(found, means, ready):
        sample.gt_instances = given_of(sample)
        model.bbox_head.loss(levels, [sample])
        (info,) = model.bbox_head.get_positive_infos()
        (whole,) = model.mask_head(levels, [info])
        whole = whole[0].sigmoid().numpy()
        assert whole.shape[1:] == (height // 2, width // 2)
        pixels = pixel_boxes(sample.objects, *sample.ori_shape)
        for i in range(len(sample.objects)):
            mine = np.flatnonzero(info.pos_assigned_gt_inds.numpy() == i)
            wanted = np.array([
                sampled(whole[k], (0, 0, width, height), pixels[i], sample.scale_factor)
                for k in mine
            ])  # fmt: skip
            assert len(wanted) > 1 and maps[i].dtype == np.float32 and np.ptp(wanted) > 0.05
            order = np.lexsort(wanted[:, 0].T), np.lexsort(maps[i][:, 0].T)
            np.testing.assert_allclose(maps[i][order[1]], wanted[order[0]], atol=1e-5)
            np.testing.assert_allclose(mean[i], wanted.mean(0, keepdims=True), atol=1e-5)


@torch.no_grad()
def test_upsampled_and_cropped(models):
    """Where nothing is scaled that is to enlarge the map and to cut out the box."""
    from torch.nn.functional import interpolate

    model = models['condinst']
    (levels, sample), = prepared(model, image(0))[0]  # fmt: skip
    maps, covered, owner = mask_reader_of(model).maps(levels, given_of(sample), sample, 10_000)
    large = interpolate(maps[None], scale_factor=2, mode='bilinear', align_corners=False)[0]
    (found,) = maps_of(model, image(0), most=10_000)
    for i, (x0, y0, x1, y1) in enumerate(np.floor(OBJECTS).astype(int)):
        wanted = large[owner == i].mean(0)[y0:y1, x0:x1].numpy()
        np.testing.assert_allclose(found[i][0], wanted, atol=1e-5)
    assert covered.unique(dim=0).tolist() == [[0, 0, 96, 64]]


@pytest.mark.parametrize('name', IMAGES)
@torch.no_grad()
def test_mask_rcnn_says_what_it_would_paste(models, name):
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

    model, images = models['mask_rcnn'], IMAGES[name]
    found = maps_of(model, *images, most=1)
    for maps, (levels, sample) in zip(found, prepared(model, *images)[0]):
        given = given_of(sample)
        rois = torch.cat([torch.zeros(len(given), 1), given.bboxes], 1)
        logits = model.roi_head._mask_forward(levels, rois)['mask_preds']
        cells = logits[torch.arange(len(given)), given.labels].sigmoid()
        pixels = pixel_boxes(sample.objects, *sample.ori_shape)
        boxes = torch.tensor(sample.objects, dtype=torch.float32)
        pasted, _ = _do_paste_mask(cells[:, None], boxes, *sample.ori_shape, skip_empty=False)
        for i, (x0, y0, x1, y1) in enumerate(pixels):
            wanted = sampled(cells[i].numpy(), given.bboxes[i].tolist(), pixels[i],
                             sample.scale_factor)  # fmt: skip
            assert maps[i].shape == (1, y1 - y0, x1 - x0) and np.ptp(maps[i]) > 0.01
            np.testing.assert_allclose(maps[i][0], wanted, atol=1e-5)
            # mmdet fades to 0 within half a cell of the box.
            dx, dy = (int(np.ceil(s / 28)) + 1 for s in (x1 - x0, y1 - y0))
            inner = pasted[i, y0 + dy : y1 - dy, x0 + dx : x1 - dx]
            np.testing.assert_allclose(maps[i][0, dy:-dy, dx:-dx], inner, atol=1e-5)


def overlap(a, b):
    wide, high = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = max(wide, 0) * max(high, 0)
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


@pytest.mark.parametrize('most', [3, 10_000])
@torch.no_grad()
def test_mask_rcnn_also_sees_the_proposals_near_an_object(models, most):
    model = models['mask_rcnn']
    images = image(0), image(1, (48, 71), objects=[[2, 3, 24, 26]])
    found = maps_of(model, *images, mean=False, most=most)
    means = maps_of(model, *images, most=most)
    several = 0
    for maps, mean, (levels, sample) in zip(found, means, prepared(model, *images)[0]):
        (proposals,) = model.rpn_head.predict(levels, [sample], rescale=False)
        given = given_of(sample)
        drawn, others = given.bboxes.numpy(), proposals.bboxes.numpy()
        shared = np.array([[overlap(p, d) for d in drawn] for p in others])
        for i, label in enumerate(sample.object_labels):
            mine = np.flatnonzero((shared.argmax(1) == i) & (shared[:, i] >= 0.5))
            mine = mine[np.argsort(-shared[mine, i])][: most - 1]
            boxes = np.concatenate([drawn[i : i + 1], others[mine]])
            several += len(mine)
            rois = torch.tensor(np.insert(boxes, 0, 0, axis=1))
            cells = model.roi_head._mask_forward(levels, rois)['mask_preds'][:, label].sigmoid()
            pixels = pixel_boxes(sample.objects, *sample.ori_shape)[i]
            wanted = [sampled(c, b, pixels, (1, 1)) for c, b in zip(cells.numpy(), boxes)]
            np.testing.assert_allclose(maps[i], wanted, atol=1e-5)
            np.testing.assert_allclose(mean[i][0], np.mean(wanted, 0), atol=1e-5)
    assert several > 4


@torch.no_grad()
def test_a_head_of_one_map_for_all_classes():
    from mmdet.registry import MODELS as REGISTRY

    torch.manual_seed(0)
    model = REGISTRY.build(mask_rcnn(class_agnostic=True)).eval()
    (maps,) = maps_of(model, image(0), most=1)
    assert [m.shape for m in maps] == [(1, 24, 23), (1, 36, 28), (1, 24, 21)]


@pytest.mark.parametrize('most', [1, 4])
@torch.no_grad()
def test_only_the_best_places_of_condinst(models, most):
    """Best by the score of the object's class times centredness."""
    model = models['condinst']
    (levels, sample), = prepared(model, image(0))[0]  # fmt: skip
    given = sample.gt_instances = given_of(sample)
    model.bbox_head.loss(levels, [sample])
    (info,) = model.bbox_head.get_positive_infos()
    (whole,) = model.mask_head(levels, [info])
    owner = info.pos_assigned_gt_inds
    score = info.scores[torch.arange(len(owner)), given.labels[owner]].sigmoid()
    score = (score * info.centernesses.reshape(-1).sigmoid()).numpy()
    (maps,) = maps_of(model, image(0), mean=False, most=most)
    for i in range(3):
        mine = np.flatnonzero(owner.numpy() == i)
        mine = mine[np.argsort(-score[mine])][:most]
        pixels = pixel_boxes(OBJECTS, 64, 96)[i]
        wanted = [sampled(whole[0][k].sigmoid().numpy(), (0, 0, 96, 64), pixels, (1, 1))
                  for k in mine]  # fmt: skip
        assert len(maps[i]) == most
        np.testing.assert_allclose(maps[i], wanted, atol=1e-5)


def test_no_more_positives_than_an_image_may_have(models, monkeypatch):
    monkeypatch.setattr(mmdet_masks, 'PER_IMAGE', 7)
    (maps,) = maps_of(models['condinst'], image(0), mean=False)
    assert [len(m) for m in maps] == [2, 2, 2]


def mirrored(given, sample):
    pixels, known = given
    width = known.ori_shape[1]
    turned = [[width - x2, y1, width - x1, y2] for x1, y1, x2, y2 in known.objects]
    _, meta = image(sample, known.img_shape, scale=known.scale_factor, objects=turned)
    return pixels.flip(2), meta


WHOLE = [[4, 6, 27, 30], [30, 10, 58, 46], [0, 40, 21, 64]]  # whole pixels, to mirror them


@pytest.mark.parametrize('most', [1, 32])
@pytest.mark.parametrize('scale', [(1.0, 1.0), (1.5, 0.5)])
def test_the_flipped_view_of_a_mirrored_image_is_that_of_the_image(model, scale, most):
    first = image(0, scale=scale, objects=WHOLE)
    plain, turned = maps_of(model, first, mirrored(first, 1), views='flip', mean=False, most=most)
    (alone,) = maps_of(model, first, most=most)
    means = maps_of(model, first, views='flip', most=most)[0]
    for a, b, c, mean in zip(plain, turned, alone, means):
        assert len(a) == len(b) == 2 and np.abs(a[0] - a[1]).max() > 1e-3
        np.testing.assert_allclose(b[1][:, ::-1], a[0], atol=1e-5)
        np.testing.assert_allclose(b[0][:, ::-1], a[1], atol=1e-5)
        np.testing.assert_allclose(a[:1], c, atol=1e-5)
        np.testing.assert_allclose(mean, a.mean(0, keepdims=True), atol=1e-5)


def test_a_padded_image_is_flipped_with_its_padding(model, monkeypatch):
    """In the flipped input the image is on the right, and so are the places matched to it."""
    reader, calls = type(mask_reader_of(model)), []
    original = reader.maps

    def spy(self, levels, given, sample, most):
        found = original(self, levels, given, sample, most)
        calls.append((given.bboxes.clone(), found[1], found[2]))
        return found

    monkeypatch.setattr(reader, 'maps', spy)
    narrow = image(1, (64, 40), objects=[[1, 3, 25, 26]])
    _, (maps,) = maps_of(model, image(0), narrow, views='flip', mean=False)
    (_, plain, _), (boxes, covered, _) = calls[2:]
    assert boxes.tolist() == [[96 - 25, 3, 96 - 1, 26]] and len(maps) == 2
    if 'RoI' in reader.__name__:
        assert len(plain) > 1 and len(covered) > 1  # proposals beside the object itself
        assert all(overlap(c.numpy(), boxes[0].numpy()) >= 0.5 for c in covered)


def test_stochastic_passes_differ_and_repeat(model):
    options = dict(views='dropout', mean=False, passes=3)
    first, second = image(0), image(1)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    ours = maps_of(model, first, second, **options)
    assert torch.equal(state, torch.get_rng_state())
    turned = maps_of(model, second, first, **options)
    alone = maps_of(model, second, **options)
    for a, b, c in zip(ours[1], turned[0], alone[0]):
        assert len(a) == 3
        np.testing.assert_allclose(a, b, atol=1e-5)
        np.testing.assert_allclose(a, c, atol=1e-5)
        assert all(np.abs(a[i] - a[j]).max() > 1e-3 for i, j in ((0, 1), (0, 2), (1, 2)))
    for a, b in zip(ours[0], turned[1]):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_stream_of_dropout_is_that_of_sample_pass_and_seed(model):
    options = dict(views='dropout', mean=False, passes=2)
    (first,) = maps_of(model, image(0), **options)
    (other,) = maps_of(model, image(5, seed=0), **options)  # the same image elsewhere in the pool
    (seeded,) = maps_of(model, image(0), **options, seed=1)
    (longer,) = maps_of(model, image(0), **{**options, 'passes': 3})
    (mean,) = maps_of(model, image(0), **{**options, 'mean': True})
    assert np.abs(first[0] - other[0]).max() > 1e-3 < np.abs(first[0] - seeded[0]).max()
    np.testing.assert_array_equal(longer[0][:2], first[0])
    np.testing.assert_allclose(mean[0], first[0].mean(0, keepdims=True), atol=1e-6)
    (none,) = maps_of(model, image(0), **options, dropout=1e-9)
    (plain,) = maps_of(model, image(0))
    np.testing.assert_allclose(none[1], np.repeat(plain[1], 2, axis=0), atol=1e-5)


@pytest.mark.parametrize('views', ['positives', 'flip', 'dropout'])
def test_nothing_is_matched_to_some_objects(models, views):
    """No place of CondInst lies in a box between the places, which are 4 pixels apart."""
    objects = [[3, 3, 5, 5], OBJECTS[0], [7, 7, 9.5, 9]]
    (maps,) = maps_of(models['condinst'], image(0, objects=objects), views=views)
    assert maps[0] is None and maps[2] is None and maps[1].shape == (1, 24, 23)
    (maps,) = maps_of(models['condinst'], image(0, objects=objects[:1]), views=views)
    assert maps == (None,)
    (maps,) = maps_of(models['mask_rcnn'], image(0, objects=objects), views=views)
    assert [m.shape for m in maps] == [(1, 2, 2), (1, 24, 23), (1, 2, 2)]


@pytest.mark.parametrize('views', ['positives', 'flip', 'dropout'])
def test_images_without_objects(model, views):
    none, some = maps_of(model, image(0, objects=[]), image(1), views=views)
    assert none == () and len(some) == 3


@pytest.mark.parametrize('views', ['positives', 'flip', 'dropout'])
def test_maps_are_probabilities_of_the_pixels_of_a_box(model, views):
    """Also of boxes beyond the image and of boxes without extent."""
    objects = [[-1, -1, 20, 20], [80, 40, 97, 65], [12.2, 9.1, 12.4, 9.3]]
    (maps,) = maps_of(model, image(0, objects=objects), views=views, mean=False)
    for found, (x0, y0, x1, y1) in zip(maps, pixel_boxes(objects, 64, 96)):
        if found is not None:
            assert found.shape[1:] == (y1 - y0, x1 - x0) and found.dtype == np.float32
            assert found.min() >= 0 and found.max() <= 1


def test_the_best_of_each_owner():
    rng = np.random.default_rng(0)
    owner, quality = rng.integers(0, 5, 40), rng.integers(0, 9, 40) / 9  # ties
    owner[owner == 3] = 4  # one has none
    for most in (1, 3, 100):
        found = best_of_each(torch.tensor(owner), torch.tensor(quality), most).tolist()
        wanted = []
        for i in range(5):
            mine = [k for k in range(40) if owner[k] == i]
            wanted += sorted(mine, key=lambda k: -quality[k])[:most]
        assert found == wanted
    none = torch.zeros(0, dtype=torch.long)
    assert len(best_of_each(none, torch.zeros(0), 3)) == 0


def test_other_models_are_refused_by_name(models):
    model = copy.copy(models['condinst'])
    model.__class__ = type('YOLACT', (type(model),), {})
    model.bbox_head = torch.nn.Identity()
    with pytest.raises(ConfigError, match=r'\(CondInst, Mask R-CNN\), but got `YOLACT`'):
        mask_reader_of(model)
