"""Head families of mmdet: all anchors or proposals of an image with their class probabilities.

mmdet's own results keep one score per box; what an acquisition needs is the whole class vector, and
the same anchors or proposals over several stochastic passes.
"""

from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch.nn.functional import adaptive_avg_pool2d

from dense_al.registry import ConfigError

# Head -> its last layers for classes and boxes.
DENSE = {
    'RetinaHead': ('retina_cls', 'retina_reg'),
    'FCOSHead': ('conv_cls', 'conv_reg'),
    'CondInstBboxHead': ('conv_cls', 'conv_reg'),
    'ATSSHead': ('atss_cls', 'atss_reg'),
}
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
    """

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
    """One-stage heads with sigmoid classes: RetinaNet, FCOS, ATSS."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.head = model.bbox_head
        self.strides = self.head.prior_generator.strides
        self.last = [getattr(self.head, name) for name in DENSE[type(self.head).__name__]]

    def candidates(self, features: Any, fixed: Any, meta: dict[str, Any]) -> Candidates:
        cls_scores, box_preds, *factors = self.head(features)
        sizes = [s.shape[-2:] for s in cls_scores]
        priors = self.head.prior_generator.grid_priors(
            sizes, dtype=cls_scores[0].dtype, device=cls_scores[0].device
        )
        c = self.head.cls_out_channels
        logits = torch.cat([_rows(s, c) for s in cls_scores])
        if not self.head.use_sigmoid_cls:
            raise ConfigError(f'Expected a sigmoid in `{type(self.head).__name__}`, but got none')
        probs = logits.sigmoid()
        deltas = torch.cat([_rows(b, self.head.bbox_coder.encode_size) for b in box_preds])
        boxes = self.head.bbox_coder.decode(torch.cat(priors), deltas, max_shape=meta['img_shape'])
        best = probs.amax(1)
        factor = torch.cat([_rows(f, 1)[:, 0] for f in factors[0]]).sigmoid() if factors else 1.0
        return Candidates(boxes, probs, 1 - best, best * factor)


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


class TwoStageReader(Reader):
    """Faster R-CNN and Mask R-CNN: softmax over the classes and background."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        head = model.roi_head.bbox_head
        self.last = [head.fc_cls, head.fc_reg]

    def fixed(self, features: Any, sample: Any) -> Any:
        return self.model.rpn_head.predict(features, [sample], rescale=False)[0].bboxes

    def candidates(self, features: Any, fixed: Any, meta: dict[str, Any]) -> Candidates:
        roi_head = self.model.roi_head
        head = roi_head.bbox_head
        n, c = len(fixed), head.num_classes
        if n == 0:
            none = fixed.new_zeros(0)
            return Candidates(fixed.reshape(0, 4), fixed.new_zeros(0, c), none, none)
        found = roi_head._bbox_forward(features, _rois(fixed))
        scores = found['cls_score'].softmax(1)
        probs, background = scores[:, :-1], scores[:, -1]
        deltas = found['bbox_pred'].reshape(n, -1, head.bbox_coder.encode_size)
        flat = head.bbox_coder.decode(fixed, deltas.flatten(1), max_shape=meta['img_shape'])
        return _of_classes(flat.view(n, -1, 4), probs, background)

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


class WeakReader(Reader):
    """`WeakRoIHead` on proposals that come with the image."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.head = model.roi_head
        self.last = [*self.head.refine_class, *self.head.refine_box]

    def fixed(self, features: Any, sample: Any) -> Any:
        from mmdet.structures.bbox import get_box_tensor

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
    name = type(head).__name__
    if name in DENSE:
        return DenseReader(model)
    if name == 'YOLOV3Head':
        return YoloReader(model)
    roi_head = getattr(model, 'roi_head', None)
    bbox_head = getattr(roi_head, 'bbox_head', None)
    if type(roi_head).__name__ == 'WeakRoIHead':
        return WeakReader(model)
    if type(roi_head).__name__ == 'StandardRoIHead' and hasattr(bbox_head, 'fc_cls'):
        return TwoStageReader(model)
    shown = type(roi_head).__name__ if head is None else name
    raise ConfigError(
        f'Expected a detector whose class probabilities can be read ({", ".join(DENSE)}, '
        f'YOLOV3Head, StandardRoIHead, WeakRoIHead), but got `{shown}` of `{type(model).__name__}`'
    )


def _rows(level: torch.Tensor, width: int) -> torch.Tensor:
    """(1, A * width, h, w) to (h * w * A, width), in the order of the anchors."""
    return level[0].permute(1, 2, 0).reshape(-1, width).float()


def _rois(boxes: torch.Tensor) -> torch.Tensor:
    """(K, 5) boxes of the first image of a batch."""
    return torch.cat([boxes.new_zeros(len(boxes), 1), boxes], dim=1)
