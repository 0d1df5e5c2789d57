"""Head families of mmdet: all anchors or proposals of an image with their class probabilities.

mmdet's own results keep one score per box; what an acquisition needs is the whole class vector, and
the same anchors or proposals over several stochastic passes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.detectors.base_detr import DetectionTransformer
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, get_box_tensor
from mmengine.structures import InstanceData
from torch.nn import Module, ModuleList
from torch.nn.functional import adaptive_avg_pool2d

from dense_al.registry import ConfigError

# What one-stage heads call their last layers for classes and boxes.
LAST = tuple(
    f'{prefix}_{part}'
    for prefix in ('retina', 'conv', 'atss', 'gfl', 'tood', 'vfnet', 'rtm')
    for part in ('cls', 'reg')
) + ('cls_score', 'bbox_pred', 'retina_bbox_cls', 'retina_bbox_reg', 'vfnet_reg_refine')
# What a head decodes its places with; it picks them by the score of single classes.
PICKED = 'filter_scores_and_topk'
AFTER = ('_bbox_post_process', '_bbox_mask_post_process')  # what it does with the picked ones
POOLED = 4  # side of the grid that the outputs of a level are pooled to for image features


@dataclass(frozen=True, eq=False)
class Candidates:
    """All anchors or proposals of one image.

    Attributes:
        boxes: (N, 4) float32 in pixels of the network's input.
        probs: (N, C) probabilities of the classes.
        background: (N,) probability of no object.
        scores: (N,) what the detector ranks by.
        class_boxes: (N, C, 4), where each class has a box of its own; None: `boxes` for all.
    """

    boxes: torch.Tensor
    probs: torch.Tensor
    background: torch.Tensor
    scores: torch.Tensor
    class_boxes: torch.Tensor | None = None


class Reader:
    """What one head family says of one image, whose feature maps are given.

    Args:
        model: The detector.

    Attributes:
        gives: What it can read besides boxes, as acquisitions name their needs.
    """

    gives: frozenset[str] = frozenset()

    def __init__(self, model: Any) -> None:
        self.model = model
        self.last: list[Any] = []  # layers that stochastic passes put dropout in front of

    def fixed(self, features: Any, sample: Any) -> Any:
        """What all passes share beside the features: nothing, or the proposals."""
        return None

    def candidates(self, features: Any, fixed: Any, meta: dict[str, Any]) -> Candidates:
        """Candidates of one image, in the order of its anchors or proposals."""
        raise NotImplementedError

    def outputs(self, features: Any) -> list[torch.Tensor]:
        """(1, ., h, w) outputs of the head before activation, level by level."""
        raise NotImplementedError

    def image_features(self, features: Any) -> torch.Tensor:
        """(D,) of the whole image: the outputs, each level pooled to a grid of one size."""
        maps = self.outputs(features)
        return torch.cat([adaptive_avg_pool2d(m, POOLED).flatten() for m in maps])

    def box_features(self, features: Any, boxes: torch.Tensor) -> torch.Tensor:
        """(K, D) features of (K, 4) boxes in pixels of the network's input."""
        raise NotImplementedError

    def weak_loss(self, features: Any, fixed: Any, tags: torch.Tensor) -> float:
        """What the tags of the image cost the model."""
        raise NotImplementedError


class _OneStage(Reader):
    """Heads on every place of the feature maps."""

    gives = frozenset({'image_features', 'box_features'})
    head: Any
    strides: Any

    def outputs(self, features: Any) -> list[torch.Tensor]:
        return list(self.head(features)[0])

    def box_features(self, features: Any, boxes: torch.Tensor) -> torch.Tensor:
        # The mean over the box, of the level that objects of its size are learnt at.
        strides = [s[0] if isinstance(s, (tuple, list)) else s for s in self.strides]
        extractor = SingleRoIExtractor(
            roi_layer={'type': 'RoIAlign', 'output_size': 1, 'sampling_ratio': 4},
            out_channels=features[0].shape[1],
            featmap_strides=strides,
            finest_scale=7 * min(strides),
        )
        return extractor(features, _rois(boxes)).flatten(1)


class DenseReader(_OneStage):
    """One-stage heads that decode every place on its own: RetinaNet, FCOS, ATSS, GFL, RTMDet ..."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.head = model.bbox_head
        self.strides = self.head.prior_generator.strides
        self.last = last_layers(self.head)

    def candidates(self, features: Any, fixed: Any, meta: dict[str, Any]) -> Candidates:
        outputs = self.head(features)
        with _every_place(self.head) as seen:
            (found,) = self.head.predict_by_feat(*outputs, batch_img_metas=[meta], rescale=False)
        probs = torch.cat(seen).float()
        scores = found.scores * found.get('score_factors', 1.0)
        # Sigmoids say nothing of the background; of a softmax mmdet cuts it off.
        shown = probs.amax(1) if getattr(self.head, 'use_sigmoid_cls', True) else probs.sum(1)
        return Candidates(found.bboxes, probs, (1 - shown).clamp(min=0), scores.float())


@contextmanager
def _every_place(head: Any) -> Iterator[list[torch.Tensor]]:
    """Lets a head decode all its places, each with its best class, and keep them all.

    mmdet takes the best pairs of place and class, level by level, and forgets the other classes;
    then it suppresses boxes.

    Yields:
        The (N, C) probabilities of the classes, level by level, once the head has decoded.
    """
    seen: list[torch.Tensor] = []

    def every(scores: torch.Tensor, threshold: float, most: int, results: Any = None) -> Any:
        seen.append(scores)
        best, labels = scores.max(dim=1)
        return best, labels, torch.arange(len(scores), device=scores.device), results

    names = _decoding_names(head)
    stock = names[PICKED]
    names[PICKED] = every
    for step in AFTER:
        setattr(head, step, lambda results, *given, **more: results)
    try:
        yield seen
    finally:
        names[PICKED] = stock
        for step in AFTER:
            delattr(head, step)


def _decoding_names(head: Any) -> dict[str, Any]:
    """The names that a head's decoding of one image sees; empty if it has none."""
    function = getattr(type(head), '_predict_by_feat_single', None)
    return getattr(function, '__globals__', {})


def last_layers(head: Any) -> list[Module]:
    """A head's last layers for classes and boxes, those of each level where they differ."""
    found = [getattr(head, name) for name in LAST if isinstance(getattr(head, name, None), Module)]
    return [layer for part in found for layer in (part if isinstance(part, ModuleList) else [part])]


class YoloReader(_OneStage):
    """YOLOv3: objectness and sigmoid classes."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.head = model.bbox_head
        self.strides = self.head.featmap_strides
        self.last = list(self.head.convs_pred)

    def candidates(self, features: Any, fixed: Any, meta: dict[str, Any]) -> Candidates:
        (maps,) = self.head(features)
        sizes = [m.shape[-2:] for m in maps]
        priors = self.head.prior_generator.grid_priors(sizes, device=maps[0].device)
        boxes, rows = [], []
        for level, prior, stride in zip(maps, priors, self.head.featmap_strides):
            row = _rows(level, self.head.num_attrib)
            centre = row[:, :2].sigmoid()
            strides = row.new_full((len(row), 1), stride)
            raw = torch.cat([centre, row[:, 2:4]], dim=1)
            boxes.append(self.head.bbox_coder.decode(prior, raw, strides))
            rows.append(row)
        flat = torch.cat(rows)
        objectness, probs = flat[:, 4].sigmoid(), flat[:, 5:].sigmoid()
        return Candidates(torch.cat(boxes), probs, 1 - objectness, objectness * probs.amax(1))


class YoloxReader(_OneStage):
    """YOLOX: objectness and sigmoid classes, one box for each place."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.head = model.bbox_head
        self.strides = self.head.strides
        self.last = [*self.head.multi_level_conv_cls, *self.head.multi_level_conv_reg]
        self._cfg = self.head.test_cfg.copy()
        self._cfg.update(score_thr=-1.0)

    def candidates(self, features: Any, fixed: Any, meta: dict[str, Any]) -> Candidates:
        classes, boxes, objects = self.head(features)
        (found,) = self.head.predict_by_feat(
            classes, boxes, objects, [meta], cfg=self._cfg, rescale=False, with_nms=False
        )
        probs = torch.cat([_rows(c, self.head.cls_out_channels) for c in classes]).sigmoid()
        objectness = torch.cat([_rows(o, 1)[:, 0] for o in objects]).sigmoid()
        return Candidates(found.bboxes, probs, 1 - objectness, objectness * probs.amax(1))


class TwoStageReader(Reader):
    """Faster R-CNN, Mask R-CNN, Cascade R-CNN ...: the classes and background of each proposal."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        head = model.roi_head.bbox_head
        self.heads = list(head) if isinstance(head, ModuleList) else [head]
        names = ('fc_cls', 'fc_reg')
        self.last = [getattr(h, n) for h in self.heads for n in names if hasattr(h, n)]
        shared = len(self.heads) == 1 and hasattr(head, 'shared_fcs')
        given = {'image_features': model.with_rpn, 'box_features': shared}
        self.gives = frozenset(name for name, there in given.items() if there)

    def fixed(self, features: Any, sample: Any) -> Any:
        if sample.get('proposals') is not None:  # as mmdet: they may come with the image
            return get_box_tensor(sample.proposals.bboxes).float()
        return self.model.rpn_head.predict(features, [sample], rescale=False)[0].bboxes

    def candidates(self, features: Any, fixed: Any, meta: dict[str, Any]) -> Candidates:
        n = len(fixed)
        if n == 0:
            none = fixed.new_zeros(0)
            probs = fixed.new_zeros(0, self.heads[-1].num_classes)
            return Candidates(fixed.reshape(0, 4), probs, none, none)
        proposals = [InstanceData(bboxes=fixed)]
        # Without a config mmdet gives the boxes and scores of all classes, as for augmented tests.
        (found,) = self.model.roi_head.predict_bbox(features, [meta], proposals, None)
        boxes, scores = found.bboxes.view(n, -1, 4), found.scores
        return _of_classes(boxes, scores[:, :-1], scores[:, -1])

    def outputs(self, features: Any) -> list[torch.Tensor]:
        return list(self.model.rpn_head(features)[0])  # objectness

    def box_features(self, features: Any, boxes: torch.Tensor) -> torch.Tensor:
        roi_head = self.model.roi_head
        maps = features[: roi_head.bbox_roi_extractor.num_inputs]
        x = roi_head.bbox_roi_extractor(maps, _rois(boxes))
        for conv in roi_head.bbox_head.shared_convs:
            x = conv(x)
        x = x.flatten(1)
        for layer in roi_head.bbox_head.shared_fcs:
            x = layer(x).relu()
        return x


class QueryReader(Reader):
    """DETR and its kin: what the last layer of the decoder says of each query."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.head = model.bbox_head

    def fixed(self, features: Any, sample: Any) -> Any:
        return self.model.forward_transformer(features, [sample]), sample

    def candidates(self, features: Any, fixed: Any, meta: dict[str, Any]) -> Candidates:
        inputs, sample = fixed
        (logits, places), *_ = self._raw(inputs, sample)
        if self.head.loss_cls.use_sigmoid:
            probs = logits.sigmoid()
            background = 1 - probs.amax(1)
        else:
            probs, background = logits.softmax(1).split([logits.shape[1] - 1, 1], dim=1)
            background = background[:, 0]
        height, width = meta['img_shape'][:2]
        size = places.new_tensor([width, height, width, height])
        boxes = bbox_cxcywh_to_xyxy(places) * size
        boxes = boxes.clamp(min=0).minimum(size)
        return Candidates(boxes, probs.float(), background.float(), probs.amax(1).float())

    def _raw(self, inputs: Mapping[str, Any], sample: Any) -> list[tuple[torch.Tensor, ...]]:
        """(Q, C) class logits and (Q, 4) boxes cx cy w h as shares of the image, of each image."""
        seen: list[tuple[torch.Tensor, ...]] = []

        def keep(logits: torch.Tensor, boxes: torch.Tensor, *given: Any, **more: Any) -> Any:
            seen.append((logits, boxes))
            return InstanceData()

        self.head._predict_by_feat_single = keep
        try:
            self.head.predict(**inputs, batch_data_samples=[sample], rescale=False)
        finally:
            del self.head._predict_by_feat_single
        return seen


class WeakReader(Reader):
    """`WeakRoIHead` on proposals that come with the image."""

    gives = frozenset({'image_features', 'box_features', 'weak_loss'})

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.head = model.roi_head
        self.last = [*self.head.refine_class, *self.head.refine_box]

    def fixed(self, features: Any, sample: Any) -> Any:
        return get_box_tensor(sample.proposals.bboxes).float()

    def candidates(self, features: Any, fixed: Any, meta: dict[str, Any]) -> Candidates:
        boxes, probs = self.head.detect(features, fixed, 0, meta['img_shape'])
        return _of_classes(boxes, probs[:, :-1], probs[:, -1])

    def image_features(self, features: Any) -> torch.Tensor:
        return features[-1].mean((0, 2, 3))

    def box_features(self, features: Any, boxes: torch.Tensor) -> torch.Tensor:
        return self.head.features(features, boxes)

    def weak_loss(self, features: Any, fixed: Any, tags: torch.Tensor) -> float:
        return float(self.head.weak_loss(features, fixed, tags)) if len(fixed) else 0.0


def _of_classes(boxes: torch.Tensor, probs: torch.Tensor, background: torch.Tensor) -> Candidates:
    """Candidates of (N, C, 4) boxes, or (N, 1, 4) where all classes share one."""
    n = len(boxes)
    label = probs.argmax(1) if boxes.shape[1] > 1 else probs.new_zeros(n, dtype=torch.long)
    own = boxes[torch.arange(n, device=boxes.device), label]
    whole = boxes if boxes.shape[1] > 1 else None
    return Candidates(own, probs, background, probs.amax(1), whole)


def reader_of(model: Any) -> Reader:
    """The reader of a model's head family.

    Raises:
        ConfigError: A family without one.
    """
    head = getattr(model, 'bbox_head', None)
    roi_head = getattr(model, 'roi_head', None)
    if type(roi_head).__name__ == 'WeakRoIHead':
        return WeakReader(model)
    if roi_head is not None and _is_two_stage(model):
        return TwoStageReader(model)
    if type(head).__name__ == 'YOLOV3Head':
        return YoloReader(model)
    if type(head).__name__ == 'YOLOXHead':
        return YoloxReader(model)
    if isinstance(model, DetectionTransformer) and hasattr(head, '_predict_by_feat_single'):
        return QueryReader(model)
    if PICKED in _decoding_names(head) and hasattr(head, 'prior_generator'):
        return DenseReader(model)
    shown = type(roi_head).__name__ if head is None else type(head).__name__
    raise ConfigError(
        'Expected a detector whose class probabilities can be read (most one-stage heads, YOLOV3, '
        'YOLOX, DETR and its kin, StandardRoIHead, CascadeRoIHead, WeakRoIHead), but got '
        f'`{shown}` of `{type(model).__name__}`'
    )


def _is_two_stage(model: Any) -> bool:
    """Whether a model classifies proposals as Faster or Cascade R-CNN does."""
    head = model.roi_head
    stock = (StandardRoIHead.predict_bbox, CascadeRoIHead.predict_bbox)
    # Heads with semantic or global context need more than the proposals.
    context = any(getattr(head, n, None) is not None for n in ('semantic_head', 'glbctx_head'))
    return not context and getattr(type(head), 'predict_bbox', None) in stock


def _rows(level: torch.Tensor, width: int) -> torch.Tensor:
    """(1, A * width, h, w) to (h * w * A, width), in the order of the anchors."""
    return level[0].permute(1, 2, 0).reshape(-1, width).float()


def _rois(boxes: torch.Tensor) -> torch.Tensor:
    """(K, 5) boxes of the first image of a batch."""
    return torch.cat([boxes.new_zeros(len(boxes), 1), boxes], dim=1)
