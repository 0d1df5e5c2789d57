"""Boxes with class vectors equal mmdet's own detections, head family by head family."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict

from dense_al import ops
from dense_al.adapters.mmdet_predict import detections
from dense_al.adapters.mmdet_readers import reader_of
from dense_al.registry import ConfigError
from dense_al.structures import DetectionOptions

NORM = dict(type='BN')
PRIORS = dict(type='AnchorGenerator', scales=[2.0], ratios=[0.7, 1.4], strides=[8, 16, 32])
TEST = dict(nms_pre=10000, min_bbox_size=0, score_thr=0.0, max_per_img=5000,
            nms=dict(type='nms', iou_threshold=1.0))  # fmt: skip


def base():
    from conftest import CONFIGS

    cfg = Config.fromfile(CONFIGS / '_base_/sandbox/glyphs.py').model
    cfg.backbone.update(base_channels=4, stem_channels=4, init_cfg=None)
    cfg.neck.update(in_channels=[8, 16, 32], out_channels=8)
    cfg.bbox_head.update(in_channels=8, feat_channels=8, num_classes=5, anchor_generator=PRIORS)
    cfg.test_cfg = ConfigDict(TEST)
    return cfg


def retina():
    return base()


def softmax():
    cfg = base()
    cfg.bbox_head.loss_cls = ConfigDict(type='CrossEntropyLoss')
    return cfg


def fcos():
    cfg = base()
    cfg.type = 'FCOS'
    cfg.bbox_head = ConfigDict(
        type='FCOSHead', num_classes=5, in_channels=8, feat_channels=8, stacked_convs=1,
        strides=[8, 16, 32], norm_cfg=NORM,
        regress_ranges=((-1, 32), (32, 64), (64, 1e8)))  # fmt: skip
    cfg.train_cfg = None
    return cfg


def faster():
    cfg = base()
    cfg.type = 'FasterRCNN'
    head = cfg.pop('bbox_head')
    coder = dict(type='DeltaXYWHBBoxCoder')
    cfg.rpn_head = ConfigDict(
        type='RPNHead', in_channels=8, feat_channels=8, anchor_generator=PRIORS, bbox_coder=coder,
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
        loss_bbox=dict(type='L1Loss'))  # fmt: skip
    cfg.roi_head = ConfigDict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor', roi_layer=dict(type='RoIAlign', output_size=7,
            sampling_ratio=0), out_channels=8, featmap_strides=[8, 16, 32]),
        bbox_head=dict(
            type='Shared2FCBBoxHead', in_channels=8, fc_out_channels=16, roi_feat_size=7,
            num_classes=head.num_classes, bbox_coder=coder,
            loss_cls=dict(type='CrossEntropyLoss'), loss_bbox=dict(type='L1Loss')))  # fmt: skip
    cfg.train_cfg = None
    rpn = dict(nms_pre=50, max_per_img=30, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0)
    cfg.test_cfg = ConfigDict(rpn=rpn, rcnn=TEST)
    return cfg


def yolo():
    cfg = base()
    cfg.type = 'YOLOV3'
    cfg.neck = ConfigDict(
        type='YOLOV3Neck', num_scales=3, in_channels=[32, 16, 8], out_channels=[16, 8, 4]
    )
    cfg.bbox_head = ConfigDict(
        type='YOLOV3Head', num_classes=5, in_channels=[16, 8, 4], out_channels=[16, 8, 4],
        anchor_generator=dict(
            type='YOLOAnchorGenerator', base_sizes=[[(40, 40)], [(24, 24)], [(12, 12)]],
            strides=[32, 16, 8]),
        bbox_coder=dict(type='YOLOBBoxCoder'), featmap_strides=[32, 16, 8])  # fmt: skip
    cfg.train_cfg = None
    cfg.test_cfg = ConfigDict({**TEST, 'conf_thr': 0.0})
    return cfg


def gfl():
    cfg = base()
    cfg.type = 'GFL'
    cfg.bbox_head = ConfigDict(
        type='GFLHead', num_classes=5, in_channels=8, feat_channels=8, stacked_convs=1, reg_max=4,
        norm_cfg=NORM, anchor_generator={**PRIORS, 'ratios': [1.0]},
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True),
        loss_dfl=dict(type='DistributionFocalLoss'), loss_bbox=dict(type='GIoULoss'))  # fmt: skip
    cfg.train_cfg = None
    return cfg


def rtmdet_ins():
    cfg = base()
    cfg.type = 'RTMDet'
    cfg.bbox_head = ConfigDict(
        type='RTMDetInsHead', num_classes=5, in_channels=8, feat_channels=8, stacked_convs=1,
        num_prototypes=4, dyconv_channels=4, num_dyconvs=2, norm_cfg=NORM,
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
        bbox_coder=dict(type='DistancePointBBoxCoder'),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True), with_objectness=False,
        loss_bbox=dict(type='GIoULoss'), loss_mask=dict(type='DiceLoss'))  # fmt: skip
    cfg.train_cfg = None
    cfg.test_cfg = ConfigDict({**TEST, 'min_bbox_size': -1, 'mask_thr_binary': 0.5})
    return cfg


def yolox():
    cfg = base()
    cfg.type = 'YOLOX'
    cfg.bbox_head = ConfigDict(
        type='YOLOXHead', num_classes=5, in_channels=8, feat_channels=8, stacked_convs=1,
        strides=[8, 16, 32])  # fmt: skip
    cfg.train_cfg = None
    return cfg


def cascade():
    cfg = faster()
    cfg.type = 'CascadeRCNN'
    coder = dict(type='DeltaXYWHBBoxCoder', target_stds=[0.05] * 4)
    stage = {**cfg.roi_head.bbox_head, 'reg_class_agnostic': True, 'bbox_coder': coder}
    cfg.roi_head.update(type='CascadeRoIHead', num_stages=2, stage_loss_weights=[1, 0.5])
    cfg.roi_head.bbox_head = [ConfigDict(stage), ConfigDict(stage)]
    return cfg


def fast():
    cfg = faster()
    cfg.type = 'FastRCNN'
    cfg.pop('rpn_head')
    cfg.roi_head.bbox_head.bbox_coder.target_stds = [0.05] * 4
    cfg.test_cfg = ConfigDict(rcnn=TEST)
    return cfg


def seesaw():
    cfg = faster()
    cfg.roi_head.bbox_head.loss_cls = ConfigDict(type='SeesawLoss', num_classes=5)
    return cfg


def detr():
    cfg = base()
    attention = dict(embed_dims=16, num_heads=2, batch_first=True)
    feed = dict(embed_dims=16, feedforward_channels=16)
    cfg.backbone.out_indices = (3,)
    cfg.pop('neck')
    cfg.pop('bbox_head')
    cfg.update(
        type='DETR', num_queries=7, train_cfg=None, test_cfg=dict(max_per_img=7),
        neck=dict(type='ChannelMapper', in_channels=[32], kernel_size=1, out_channels=16),
        encoder=dict(
            num_layers=1, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=feed)),
        decoder=dict(num_layers=1, return_intermediate=True, layer_cfg=dict(
            self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=feed)),
        positional_encoding=dict(num_feats=8, normalize=True),
        bbox_head=dict(
            type='DETRHead', num_classes=5, embed_dims=16,
            loss_cls=dict(type='CrossEntropyLoss'), loss_bbox=dict(type='L1Loss'),
            loss_iou=dict(type='GIoULoss')))  # fmt: skip
    return cfg


FAMILIES = [
    retina,
    softmax,
    fcos,
    faster,
    yolo,
    gfl,
    rtmdet_ins,
    yolox,
    cascade,
    fast,
    seesaw,
    detr,
]


def build(cfg):
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    ops.install()
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    for name, parameter in model.named_parameters():  # fresh heads say the same everywhere
        wide = 2.0 if name.endswith('rtm_reg.bias') else 0.0  # of a distance, so that boxes exist
        parameter.data += 0.1 * torch.randn_like(parameter) + wide
    return model.eval()


def batch(proposals=False):
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    generator = torch.Generator().manual_seed(1)
    samples = []
    for i in range(2):
        meta = dict(ori_shape=(64, 128), img_shape=(32, 64), scale_factor=(0.5, 0.5), sample=i)
        samples.append(DetDataSample(metainfo=meta))
        if proposals:
            boxes = torch.tensor([[4.0, 4, 30, 20], [20 + i, 2, 60, 30], [0, 0, 64, 32]])
            samples[-1].proposals = InstanceData(bboxes=boxes)
    image = torch.randint(0, 255, (2, 3, 32, 64), generator=generator, dtype=torch.uint8)
    return dict(inputs=list(image), data_samples=samples)


@pytest.mark.parametrize('make', FAMILIES)
@torch.no_grad()
def test_boxes_and_scores_are_those_of_mmdet(make):
    model = build(make())
    options = DetectionOptions(score_thr=0.0, nms_iou=1.0, nms_pre=10000, max_boxes=10000)
    given = make is fast
    ours = list(detections(model, batch(given), options))
    theirs = model.test_step(batch(given))
    assert [p.sample for p in ours] == [0, 1]
    for mine, other in zip(ours, theirs):
        wanted = other.pred_instances
        boxes, scores = wanted.bboxes.numpy(), wanted.scores.numpy()
        assert len(mine.boxes) > 1 and mine.probs.shape[1] == 5
        assert (np.diff(mine.scores) <= 1e-6).all()
        for k in range(len(mine.boxes)):
            near = np.abs(boxes - mine.boxes[k]).max(1) < 0.01
            same = near & (wanted.labels.numpy() == mine.labels[k])
            assert same.any(), k
            assert np.abs(scores[same] - mine.scores[k]).min() < 1e-4


@pytest.mark.parametrize('make', [retina, faster, yolo, gfl, yolox, cascade])
@torch.no_grad()
def test_stochastic_passes_differ_and_repeat(make):
    model = build(make())
    options = DetectionOptions(score_thr=0.0, nms_iou=0.9, max_boxes=5, passes=3)
    first = list(detections(model, batch(), options, frozenset({'image_features'})))
    torch.manual_seed(7)
    state = torch.get_rng_state()
    # One image alone gives what it gives in a batch.
    data = batch()
    alone = dict(inputs=data['inputs'][1:], data_samples=data['data_samples'][1:])
    again = next(iter(detections(model, alone, options, frozenset({'image_features'}))))
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_allclose(first[1].passes, again.passes, atol=1e-5)
    assert first[0].passes.shape == (3, len(first[0].boxes), 5)
    assert np.abs(first[0].passes[0] - first[0].passes[1]).max() > 1e-4
    assert first[0].box_passes.shape == (3, len(first[0].boxes), 4)
    np.testing.assert_allclose(first[1].image_features, again.image_features, atol=1e-4)
    plain = next(iter(detections(model, alone, DetectionOptions(score_thr=0.0, max_boxes=5))))
    assert plain.passes is None and plain.image_features is None


@torch.no_grad()
def test_background_is_what_no_class_is():
    options = DetectionOptions(score_thr=0.0, max_boxes=50)
    (sigmoid, _), (whole, _) = (detections(build(m()), batch(), options) for m in (retina, softmax))
    np.testing.assert_allclose(sigmoid.background, 1 - sigmoid.probs.max(1), atol=1e-6)
    np.testing.assert_allclose(whole.background, 1 - whole.probs.sum(1), atol=1e-6)
    assert (whole.background > 0).all() and whole.probs.sum(1).min() > 0.1


@torch.no_grad()
def test_nothing_above_the_threshold():
    model = build(retina())
    found = list(detections(model, batch(), DetectionOptions(score_thr=1.0, passes=2)))
    assert found[0].boxes.shape == (0, 4) and found[0].passes.shape == (2, 0, 5)


def test_other_heads_are_refused_by_name():
    model = build(retina())
    model.bbox_head = torch.nn.Identity()
    with pytest.raises(ConfigError, match='`Identity` of `RetinaNet`'):
        reader_of(model)


@torch.no_grad()
def test_reading_leaves_the_head_as_it_was():
    model = build(gfl())
    before = model.test_step(batch())[0].pred_instances
    list(detections(model, batch(), DetectionOptions(score_thr=0.0)))
    after = model.test_step(batch())[0].pred_instances
    assert torch.equal(before.scores, after.scores) and torch.equal(before.bboxes, after.bboxes)


@pytest.mark.parametrize('make', [retina, faster, yolo])
@torch.no_grad()
def test_features_of_boxes_and_of_remembered_boxes(make):
    model = build(make())
    options = DetectionOptions(score_thr=0.0, nms_iou=0.9, max_boxes=4)
    first = list(detections(model, batch(), options, frozenset({'box_features'})))
    assert all(len(p.box_features) == len(p.boxes) >= 2 for p in first)
    assert first[0].remembered is None and np.ptp(first[0].box_features, axis=0).max() > 1e-4
    # Asked for again by their place in the original image, boxes have the features they had.
    again = replace(options, remembered={1: first[1].boxes[[-1, 0]]})
    found = list(detections(model, batch(), again, frozenset({'box_features'})))
    assert found[0].remembered is None
    np.testing.assert_allclose(found[1].remembered, first[1].box_features[[-1, 0]], atol=1e-4)


@torch.no_grad()
def test_a_box_may_count_once_for_each_class():
    model = build(faster())
    once = DetectionOptions(score_thr=0.0, nms_iou=1.0, nms_pre=10000, max_boxes=10000)
    often = replace(once, score_thr=0.05, pair_thr=0.05)
    (single, _), (several, _) = (list(detections(model, batch(), o)) for o in (once, often))
    assert len(several.boxes) > len(single.boxes)
    np.testing.assert_allclose(
        several.scores, several.probs[np.arange(len(several.labels)), several.labels], atol=1e-6
    )
    # Each class has a box of its own, as in mmdet's results.
    wanted = model.test_step(batch())[0].pred_instances
    for box, label in list(zip(several.boxes, several.labels))[:20]:
        near = np.abs(wanted.bboxes.numpy() - box).max(1) < 0.01
        assert (wanted.labels.numpy()[near] == label).any()


@torch.no_grad()
def test_an_image_without_tags_has_no_loss_on_them():
    found = detections(build(retina()), batch(), DetectionOptions(), frozenset({'weak_loss'}))
    assert [(f.tags, f.weak_loss) for f in found][0] == (None, None)
