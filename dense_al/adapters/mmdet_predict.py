"""From an mmdet model to boxes with class probabilities, head family by head family.

mmdet's own results keep one score per box; what an acquisition needs is the whole class vector, and
the same anchors or proposals over several stochastic passes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d, dropout

from dense_al.registry import ConfigError
from dense_al.structures import DetectionOptions, DetPrediction

# Head -> its last layers for classes and boxes.
DENSE = {
    'RetinaHead': ('retina_cls', 'retina_reg'),
    'FCOSHead': ('conv_cls', 'conv_reg'),
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
    """

    boxes: torch.Tensor
    probs: torch.Tensor
    background: torch.Tensor
    scores: torch.Tensor


class DenseReader:
    """One-stage heads with sigmoid classes: RetinaNet, FCOS, ATSS."""

    def __init__(self, model: Any) -> None:
        self.head = model.bbox_head
        self.last = [getattr(self.head, name) for name in DENSE[type(self.head).__name__]]

    def fixed(self, features: Any, sample: Any) -> Any:
        """What all passes share beside the features: nothing."""
        return None

    def candidates(self, features: Any, fixed: Any, meta: dict[str, Any]) -> Candidates:
        """Candidates of one image, level by level in the order of the anchors."""
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

    def outputs(self, features: Any, fixed: Any) -> list[torch.Tensor]:
        """(1, ., h, w) class outputs of each level before activation."""
        return list(self.head(features)[0])


class YoloReader:
    """YOLOv3: objectness and sigmoid classes."""

    def __init__(self, model: Any) -> None:
        self.head = model.bbox_head
        self.last = list(self.head.convs_pred)

    def fixed(self, features: Any, sample: Any) -> Any:
        """What all passes share beside the features: nothing."""
        return None

    def candidates(self, features: Any, fixed: Any, meta: dict[str, Any]) -> Candidates:
        """Candidates of one image, level by level in the order of the anchors."""
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

    def outputs(self, features: Any, fixed: Any) -> list[torch.Tensor]:
        """(1, ., h, w) outputs of each level before activation."""
        return list(self.head(features)[0])


class TwoStageReader:
    """Faster R-CNN and Mask R-CNN: softmax over the classes and background."""

    def __init__(self, model: Any) -> None:
        self.model = model
        head = model.roi_head.bbox_head
        self.last = [head.fc_cls, head.fc_reg]

    def fixed(self, features: Any, sample: Any) -> Any:
        """The proposals of one image, the same for all passes."""
        return self.model.rpn_head.predict(features, [sample], rescale=False)[0].bboxes

    def candidates(self, features: Any, fixed: Any, meta: dict[str, Any]) -> Candidates:
        """Candidates of one image, in the order of the proposals."""
        roi_head = self.model.roi_head
        head = roi_head.bbox_head
        n, c = len(fixed), head.num_classes
        if n == 0:
            none = fixed.new_zeros(0)
            return Candidates(fixed.reshape(0, 4), fixed.new_zeros(0, c), none, none)
        rois = torch.cat([fixed.new_zeros(n, 1), fixed], dim=1)
        found = roi_head._bbox_forward(features, rois)
        scores = found['cls_score'].softmax(1)
        probs, background = scores[:, :-1], scores[:, -1]
        deltas = found['bbox_pred'].reshape(n, -1, head.bbox_coder.encode_size)
        label = probs.argmax(1) if deltas.shape[1] > 1 else torch.zeros(n, dtype=torch.long)
        chosen = deltas[torch.arange(n), label.to(deltas.device)]
        boxes = head.bbox_coder.decode(fixed, chosen, max_shape=meta['img_shape'])
        return Candidates(boxes, probs, background, probs.amax(1))

    def outputs(self, features: Any, fixed: Any) -> list[torch.Tensor]:
        """(1, ., h, w) objectness of each level before activation."""
        return list(self.model.rpn_head(features)[0])


def reader_of(model: Any) -> Any:
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
    if type(roi_head).__name__ == 'StandardRoIHead' and hasattr(bbox_head, 'fc_cls'):
        return TwoStageReader(model)
    shown = type(roi_head).__name__ if head is None else name
    raise ConfigError(
        f'Expected a detector whose class probabilities can be read ({", ".join(DENSE)}, '
        f'YOLOV3Head, StandardRoIHead), but got `{shown}` of `{type(model).__name__}`'
    )


def detections(
    model: Any, batch: Any, options: DetectionOptions, image_features: bool = False
) -> Iterator[DetPrediction]:
    """Predictions of the images of a batch, one by one.

    Args:
        model: An mmdet detector in evaluation mode.
        batch: As its data loader gives it; metainfo holds `sample`.
        options: Which boxes.
        image_features: Whether to add `image_features`.
    """
    reader = reader_of(model)
    data = model.data_preprocessor(batch, False)
    features = model.extract_feat(data['inputs'])
    for i, sample in enumerate(data['data_samples']):
        levels = tuple(level[i : i + 1] for level in features)
        yield _detect(reader, levels, sample, options, image_features)


def _detect(
    reader: Any, levels: Any, sample: Any, options: DetectionOptions, image_features: bool
) -> DetPrediction:
    """The prediction of one image."""
    meta = sample.metainfo
    fixed = reader.fixed(levels, sample)
    found = reader.candidates(levels, fixed, meta)
    keep, classes = suppressed(found, options)
    passes, box_passes = [], []
    for k in range(options.passes):
        with stochastic(reader.last, options, (int(meta['sample']), k)):
            again = reader.candidates(levels, fixed, meta)
        passes.append(again.probs[keep])
        box_passes.append(again.boxes[keep])
    scale = found.boxes.new_tensor(meta.get('scale_factor', (1.0, 1.0))).repeat(2)
    pooled = None
    if image_features:
        maps = reader.outputs(levels, fixed)
        pooled = _numpy(torch.cat([adaptive_avg_pool2d(m, POOLED).flatten() for m in maps]))
    return DetPrediction(
        sample=int(meta['sample']),
        boxes=_numpy(found.boxes[keep] / scale),
        probs=_numpy(found.probs[keep]),
        background=_numpy(found.background[keep]),
        scores=_numpy(found.scores[keep]),
        passes=_numpy(torch.stack(passes)) if passes else None,
        box_passes=_numpy(torch.stack(box_passes) / scale) if passes else None,
        image_features=pooled,
        classes=classes.cpu().numpy(),
    )


def suppressed(found: Candidates, options: DetectionOptions) -> tuple[torch.Tensor, torch.Tensor]:
    """What is above the threshold and not suppressed by a better one of its class.

    Args:
        found: The candidates of an image.
        options: Thresholds.

    Returns:
        (K,) int64 candidates, best first, and (K,) int64 the class each counts as.
    """
    from mmcv.ops import batched_nms

    order = found.scores.argsort(descending=True, stable=True)[: options.nms_pre]
    sides = found.boxes[order, 2:] - found.boxes[order, :2]
    order = order[(found.scores[order] >= options.score_thr) & (sides > 0).all(1)]
    order, labels = _as_classes(found.probs[order], order, options.pair_thr)
    if len(order) == 0:
        return order, labels
    share = found.probs[order, labels] / found.probs[order].amax(1)  # 1 for the most probable
    nms = {'type': 'nms', 'iou_threshold': options.nms_iou}
    _, kept = batched_nms(found.boxes[order], found.scores[order] * share, labels, nms)
    kept = kept[: options.max_boxes]
    return order[kept], labels[kept]


def _as_classes(
    probs: torch.Tensor, order: torch.Tensor, pair_thr: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Candidates and what they count as; several times with a `pair_thr`."""
    if pair_thr is None:
        return order, probs.argmax(1)
    row, label = (probs > pair_thr).nonzero(as_tuple=True)
    return order[row], label


@contextmanager
def stochastic(
    layers: list[Any], options: DetectionOptions, stream: tuple[int, int]
) -> Iterator[None]:
    """Dropout in front of layers, drawn from a stream of its own.

    Args:
        layers: The last layers of a head.
        options: Probability and seed.
        stream: Sample and pass.
    """
    seed = np.random.SeedSequence([options.seed, *stream]).generate_state(1, np.uint64)[0]

    def before(module: Any, inputs: Any) -> Any:
        return (dropout(inputs[0], options.dropout, training=True), *inputs[1:])

    handles = [layer.register_forward_pre_hook(before) for layer in layers]
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(seed) % 2**63)
            yield
    finally:
        for handle in handles:
            handle.remove()


def _rows(level: torch.Tensor, width: int) -> torch.Tensor:
    """(1, A * width, h, w) to (h * w * A, width), in the order of the anchors."""
    return level[0].permute(1, 2, 0).reshape(-1, width).float()


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
