"""Mask R-CNN and CondInst learn masks from boxes and points alone, on a handful of images."""

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from pycocotools.mask import encode

import dense_al.datasets.points  # noqa: F401
import dense_al.models.point_sup_condinst  # noqa: F401
import dense_al.models.point_sup_mask_head  # noqa: F401

HEIGHT, WIDTH = 64, 96
N_POINTS = 10
NORM = dict(type='GN', num_groups=4)
PRE = dict(mean=[110.0] * 3, std=[50.0] * 3, pad_size_divisor=32)
BACKBONE = dict(
    type='ResNet', depth=18, base_channels=8, stem_channels=8, norm_cfg=NORM,
    norm_eval=False, style='pytorch')  # fmt: skip
BINARY = dict(type='CrossEntropyLoss', use_sigmoid=True)
CODER = dict(type='DeltaXYWHBBoxCoder')
STEPS = [
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='LoadPoints'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ProjectPoints'),
    dict(type='PackPointInputs'),
]


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    """Two threads of two processes on two cores are ten times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def mask_rcnn(**kwargs):
    assign = dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.3)
    sampler = dict(type='RandomSampler', num=32, pos_fraction=0.5, add_gt_as_proposals=True)
    region = dict(type='SingleRoIExtractor', out_channels=16, featmap_strides=[4, 8, 16])
    proposals = dict(nms_pre=100, max_per_img=50, nms=dict(type='nms', iou_threshold=0.7),
                     min_bbox_size=0)  # fmt: skip
    return dict(
        type='MaskRCNN',
        data_preprocessor=dict(type='DetDataPreprocessor', **PRE),
        backbone=dict(BACKBONE, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1),
                      out_indices=(0, 1, 2)),
        neck=dict(type='FPN', in_channels=[8, 16, 32], out_channels=16, num_outs=3),
        rpn_head=dict(
            type='RPNHead', in_channels=16, feat_channels=16, bbox_coder=CODER,
            anchor_generator=dict(type='AnchorGenerator', scales=[6], ratios=[0.5, 1.0, 2.0],
                                  strides=[4, 8, 16]),
            loss_cls=BINARY, loss_bbox=dict(type='L1Loss')),
        roi_head=dict(
            type='StandardRoIHead',
            bbox_roi_extractor=dict(region, roi_layer=dict(type='RoIAlign', output_size=7)),
            bbox_head=dict(
                type='Shared2FCBBoxHead', in_channels=16, fc_out_channels=32, num_classes=2,
                bbox_coder=CODER, loss_cls=dict(type='CrossEntropyLoss'),
                loss_bbox=dict(type='L1Loss')),
            mask_roi_extractor=dict(region, roi_layer=dict(type='RoIAlign', output_size=14)),
            mask_head=dict(type='PointSupMaskHead', num_convs=2, in_channels=16,
                           conv_out_channels=16, num_classes=2, **kwargs)),
        train_cfg=dict(
            rpn=dict(assigner=dict(assign, pos_iou_thr=0.7, neg_iou_thr=0.3),
                     sampler=dict(sampler, num=64, add_gt_as_proposals=False), pos_weight=-1,
                     allowed_border=-1),
            rpn_proposal=proposals,
            rcnn=dict(assigner=assign, sampler=sampler, mask_size=28, pos_weight=-1)),
        test_cfg=dict(
            rpn=proposals,
            rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=20,
                      mask_thr_binary=0.5)),
    )  # fmt: skip


def condinst(**kwargs):
    pre = dict(PRE, type='DetDataPreprocessor')
    if kwargs.get('boxinst'):
        pre.update(type='PointSupDataPreprocessor', bottom_pixels_removed=0)
    return dict(
        type='CondInst',
        data_preprocessor=pre,
        backbone=dict(BACKBONE, out_indices=(1, 2, 3)),
        neck=dict(type='FPN', in_channels=[16, 32, 64], out_channels=16, num_outs=3),
        bbox_head=dict(
            type='CondInstBboxHead', num_params=169, num_classes=2, in_channels=16,
            feat_channels=16, stacked_convs=1, strides=[8, 16, 32], norm_on_bbox=True,
            centerness_on_reg=True, center_sampling=True, norm_cfg=NORM,
            regress_ranges=((-1, 32), (32, 64), (64, 1e8)),
            loss_cls=dict(type='FocalLoss', use_sigmoid=True),
            loss_bbox=dict(type='GIoULoss'), loss_centerness=BINARY),
        mask_head=dict(
            type='PointSupCondInstMaskHead', feat_channels=8, mask_out_stride=4,
            topk_masks_per_img=32, **kwargs,
            mask_feature_head=dict(
                in_channels=16, feat_channels=16, start_level=0, end_level=2, out_channels=8,
                mask_stride=8, num_stacked_convs=1, norm_cfg=NORM),
            loss_mask=dict(type='DiceLoss', use_sigmoid=True, activate=True, eps=5e-6)),
        test_cfg=dict(nms_pre=200, min_bbox_size=0, score_thr=0.05, max_per_img=20, mask_thr=0.5,
                      nms=dict(type='nms', iou_threshold=0.6)),
    )  # fmt: skip


def ellipses(seed):
    """An image of two bright ellipses on noise, and their (2, H, W) masks."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    image = rng.normal(80, 25, (HEIGHT, WIDTH, 3))
    masks = []
    for left in (0, WIDTH // 2):
        cx, cy, angle = left + rng.uniform(20, 28), rng.uniform(26, 38), rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        masks.append((u / rng.uniform(15, 20)) ** 2 + (v / rng.uniform(6, 9)) ** 2 < 1)
        image[masks[-1]] += 90
    return image.clip(0, 255).astype(np.uint8), np.stack(masks)


def record(seed, n_masks=0):
    """What a data set knows of the image: boxes and answered points, few or no masks."""
    image, masks = ellipses(seed)
    rng = np.random.default_rng(seed + 1000)
    instances = []
    for number, mask in enumerate(masks):
        y, x = np.nonzero(mask)
        x1, y1, x2, y2 = box = [x.min(), y.min(), x.max() + 1, y.max() + 1]
        at = rng.integers(box[:2], box[2:], (N_POINTS, 2))
        shape = encode(np.asfortranarray(mask.astype(np.uint8)))
        shape['counts'] = shape['counts'].decode()
        has_mask = number < n_masks
        instances.append(
            dict(bbox=box, bbox_label=(seed + number) % 2, ignore_flag=0, points=at.tolist(),
                 point_labels=mask[at[:, 1], at[:, 0]].astype(int).tolist(), has_mask=has_mask,
                 mask=shape if has_mask else [[x1, y1, x2, y1, x2, y2, x1, y2]]))  # fmt: skip
    return dict(img=image, img_id=seed, img_shape=(HEIGHT, WIDTH), ori_shape=(HEIGHT, WIDTH),
                instances=instances)  # fmt: skip


def train(cfg, iterations, lr=2e-3, n_masks=0, n_images=6):
    """The trained model and its losses, a dict per iteration."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    np.random.seed(0)
    model = MODELS.build(ConfigDict(cfg))
    model.init_weights()
    model.train()
    optimiser = OptimWrapper(
        torch.optim.AdamW(model.parameters(), lr), clip_grad=dict(max_norm=5.0)
    )
    steps = [TRANSFORMS.build(step) for step in STEPS]
    steps[0].with_mask = n_masks > 0
    history = []
    for iteration in range(iterations):
        MessageHub.get_current_instance().update_info('iter', iteration)
        batch = [record((3 * iteration + k) % n_images, n_masks) for k in range(3)]
        for step in steps:
            batch = [step(results) for results in batch]
        assert ('masks' in batch[0]['data_samples'].gt_instances) is (n_masks > 0)
        losses = model.train_step(pseudo_collate(batch), optimiser)
        history.append({name: float(value) for name, value in losses.items()})
    return model.eval(), history


def fell(history, name, share=0.8):
    """Whether a loss at the end is below a share of what it was in the beginning."""
    values = [step[name] for step in history]
    return np.mean(values[-10:]) < share * np.mean(values[:10])


def ious(found, masks):
    """(N,) IoU of masks (N, H, W)."""
    return (found & masks).sum((1, 2)) / (found | masks).sum((1, 2))


def filled_boxes(masks):
    """(N, H, W) bool: the box of each mask."""
    return np.stack([m.any(0)[None] & m.any(1)[:, None] for m in masks])


def inputs(seed):
    """The image as the model takes it, and its metainfo."""
    given = record(seed)
    image = torch.from_numpy(given['img']).permute(2, 0, 1)
    sizes = dict(img_shape=given['img_shape'], ori_shape=given['ori_shape'])
    return [image], dict(**sizes, scale_factor=(1.0, 1.0)), given['instances']


@torch.no_grad()
def masks_in_boxes(model, seed):
    """(N, H, W) masks of Mask R-CNN for the true boxes."""
    images, meta, instances = inputs(seed)
    found = InstanceData(
        bboxes=torch.tensor(np.array([i['bbox'] for i in instances])).float(),
        labels=torch.tensor([i['bbox_label'] for i in instances]),
        scores=torch.ones(2),
    )
    data = model.data_preprocessor(dict(inputs=images, data_samples=None))
    features = model.extract_feat(data['inputs'])
    return model.roi_head.predict_mask(features, [meta], [found], True)[0].masks.numpy()


@torch.no_grad()
def detected_masks(model, seed):
    """(N, H, W) masks of the best detections that lie on the true boxes, empty for none."""
    images, meta, instances = inputs(seed)
    sample = DetDataSample(metainfo=meta)
    found = model.test_step(dict(inputs=images, data_samples=[sample]))[0].pred_instances
    boxes = torch.tensor(np.array([i['bbox'] for i in instances])).float()
    overlaps = bbox_overlaps(boxes, found.bboxes)
    masks = np.zeros((len(boxes), HEIGHT, WIDTH), bool)
    for row, near in enumerate(overlaps > 0.5):
        if near.any():
            masks[row] = found.masks[int((found.scores * near).argmax())].numpy()
    return masks


def compared(model, masks_of):
    """Mean IoU with the truth over the images trained on: of the model, of filled boxes."""
    ours, boxes = [], []
    for seed in range(6):
        masks = ellipses(seed)[1]
        ours += ious(masks_of(model, seed), masks).tolist()
        boxes += ious(filled_boxes(masks), masks).tolist()
    return np.mean(ours), np.mean(boxes)


def test_mask_rcnn_beats_its_boxes():
    model, history = train(mask_rcnn(), 100)
    assert fell(history, 'loss_mask_point', 0.3) and fell(history, 'loss')
    assert all(step['loss_mask'] == 0 for step in history)
    ours, boxes = compared(model, masks_in_boxes)
    assert ours > boxes + 0.1, (ours, boxes)


def test_condinst_beats_its_boxes():
    model, history = train(condinst(), 200)
    assert fell(history, 'loss_mask_point', 0.3) and fell(history, 'loss')
    assert all(step['loss_mask'] == 0 for step in history)
    ours, boxes = compared(model, detected_masks)
    assert ours > boxes + 0.05, (ours, boxes)


def test_condinst_with_the_terms_of_boxinst():
    _, history = train(condinst(boxinst=True, warmup_iters=1, point_weight=0.1), 80)
    assert fell(history, 'loss_mask_project', 0.9) and history[-1]['loss_mask_pairwise'] > 0
    assert history[0]['loss_mask_point'] < 0.1


@pytest.mark.parametrize('make', [mask_rcnn, condinst])
def test_masks_and_points_in_one_batch(make):
    cfg = make(n_points=5)
    cfg['data_preprocessor']['pad_mask'] = True
    _, history = train(cfg, 40, n_masks=1)
    assert fell(history, 'loss_mask') and fell(history, 'loss_mask_point')
    assert all(step['loss_mask'] > 0 for step in history)
