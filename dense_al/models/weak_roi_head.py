"""A RoI head that learns from image tags, and from boxes where an image has them.

WSDDN's two streams and three refinement heads with box regression, taught one by the other (MIST;
Ren et al., CVPR 2020). The mixture with fully labelled images follows BiB (Vo et al., ECCV 2022).
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.layers import multiclass_nms
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures.bbox import get_box_tensor
from mmengine.model import BaseModule, initialize
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, smooth_l1_loss

from dense_al.models.weak_losses import (
    Targets,
    full_targets,
    image_loss,
    weak_targets,
    wsddn_scores,
)


@MODELS.register_module()
class WeakRoIHead(BaseModule):
    """WSDDN with refinement heads, on proposals.

    An image's metainfo tells what is known of it: `level` is `full` where its boxes are (all of
    them), else `weak`, and `tags` are the classes in it. Without `level` an image is `full`.

    Args:
        num_classes: C.
        in_channels: Channels of the feature map.
        bbox_roi_extractor: Config of mmdet's extractor.
        fc_channels: Widths of the shared layers.
        dropout: Behind each shared layer.
        stream_std: Deviation of the two streams' first weights. Where the shared layers are new as
            well, 0.05 lets the streams tell proposals apart far sooner than the published 0.001.
        refine_std: The same of the refinement heads' class weights; of their boxes it is 0.001.
        refinements: Number of refinement heads.
        weights: Weight of each refinement head's losses on weak images.
        share: Share of the proposals that may stand for an object.
        iou: Most overlap of two proposals that stand for two objects of a class.
        bbox_coder: Config of mmdet's coder.
        shared_init: Config of mmengine's initialisation of the shared layers alone, such as with
            VGG's classifier, whose places are the same.
        full: `count` proposals of a full image are taken, at most `share` of them objects.
        train_cfg: Nothing is read from it.
        test_cfg: `score_thr`, `nms` and `max_per_img`.
        init_cfg: Of mmengine.
    """

    # What mmdet asks of a RoI head.
    with_bbox, with_mask, with_shared_head = True, False, False

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        bbox_roi_extractor: dict[str, Any],
        fc_channels: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
        stream_std: float = 0.001,
        refine_std: float = 0.001,
        refinements: int = 3,
        weights: Sequence[float] = (3.0, 1.0, 1.0),
        share: float = 0.15,
        iou: float = 0.2,
        bbox_coder: dict[str, Any] | None = None,
        full: dict[str, Any] | None = None,
        shared_init: dict[str, Any] | None = None,
        train_cfg: Any = None,
        test_cfg: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if len(weights) != refinements:
            raise ValueError(f'Expected {refinements} `weights`, but got {list(weights)}')
        self.num_classes, self.test_cfg = num_classes, test_cfg
        self.weights, self.share, self.iou = tuple(weights), share, iou
        self.full = dict(full or {})
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        coder = {'type': 'DeltaXYWHBBoxCoder', 'target_stds': (0.1, 0.1, 0.2, 0.2)}
        self.bbox_coder = TASK_UTILS.build(bbox_coder or coder)
        size = self.bbox_roi_extractor.roi_layers[0].output_size
        width, layers = in_channels * size[0] * size[1], []
        for channels in fc_channels:
            layers += [nn.Linear(width, channels), nn.ReLU(inplace=True), nn.Dropout(dropout)]
            width = channels
        self.shared = nn.Sequential(*layers)
        self.stream_class = nn.Linear(width, num_classes)
        self.stream_proposal = nn.Linear(width, num_classes)
        self.refine_class = _linears(refinements, width, num_classes + 1)
        self.refine_box = _linears(refinements, width, 4 * num_classes)
        self._reset(stream_std, refine_std)
        self._shared_init = shared_init

    def init_weights(self) -> None:
        """Loads the shared layers where that is wanted; the rest is drawn when it is built."""
        super().init_weights()
        if self._shared_init is not None:
            initialize(self.shared, self._shared_init)

    def _reset(self, stream_std: float, refine_std: float) -> None:
        """Weights that keep the scale of the shared features, small ones in the heads."""
        for layer in self.shared:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')
                nn.init.zeros_(layer.bias)
        streams = nn.ModuleList([self.stream_class, self.stream_proposal])
        for heads, deviation in (
            (streams, stream_std),
            (self.refine_class, refine_std),
            (self.refine_box, 0.001),
        ):
            for weight in heads.parameters():
                if weight.ndim == 2:
                    nn.init.normal_(weight, std=deviation)
                else:
                    nn.init.zeros_(weight)

    def features(self, levels: Sequence[Tensor], boxes: Tensor, image: int = 0) -> Tensor:
        """(R, D) shared features of (R, 4) boxes in pixels of the network's input."""
        rois = torch.cat([boxes.new_full((len(boxes), 1), image), boxes], dim=1)
        maps = levels[: self.bbox_roi_extractor.num_inputs]
        return self.shared(self.bbox_roi_extractor(maps, rois).flatten(1))

    def loss(
        self, x: Sequence[Tensor], rpn_results_list: Any, batch_data_samples: Any
    ) -> dict[str, Tensor]:
        """Losses of a batch, mean over its images.

        Args:
            x: Feature maps.
            rpn_results_list: Per image its proposals.
            batch_data_samples: Per image its boxes and what is known of it.
        """
        parts: dict[str, list[Tensor]] = {}
        for i, (proposals, sample) in enumerate(zip(rpn_results_list, batch_data_samples)):
            boxes = _boxes(proposals)
            if len(boxes) == 0:
                continue
            for name, value in self._image_losses(x, boxes, i, sample).items():
                parts.setdefault(name, []).append(value)
        if not parts:
            raise ValueError('Expected proposals in at least one image of the batch, but got none')
        n = len(batch_data_samples)
        return {name: torch.stack(values).sum() / n for name, values in parts.items()}

    def _image_losses(
        self, x: Sequence[Tensor], boxes: Tensor, image: int, sample: Any
    ) -> dict[str, Tensor]:
        """Losses of one image."""
        features = self.features(x, boxes, image)
        scores = wsddn_scores(self.stream_class(features), self.stream_proposal(features))
        tags, weak = known(sample)
        losses = {'loss_image': image_loss(scores, tags.to(boxes.device))}
        source = scores.detach()
        for k, weight in enumerate(self.weights):
            logits, deltas = self.refine_class[k](features), self.refine_box[k](features)
            if weak:
                targets = weak_targets(boxes, source, tags, self.share, self.iou)
                taken, scale = torch.arange(len(boxes), device=boxes.device), weight
            else:
                found = sample.gt_instances
                best = logits.detach().softmax(1)[:, :-1].amax(1)
                taken, targets = full_targets(
                    boxes, get_box_tensor(found.bboxes), found.labels, best, **self.full
                )
                scale = 1.0
            classes, places = self._head_losses(boxes[taken], logits[taken], deltas[taken], targets)
            losses[f'loss_class{k}'] = scale * classes
            losses[f'loss_box{k}'] = scale * places
            source = logits.detach().softmax(1)
        return losses

    def _head_losses(
        self, boxes: Tensor, logits: Tensor, deltas: Tensor, targets: Targets
    ) -> tuple[Tensor, Tensor]:
        """Losses of one refinement head: of classes and of boxes, both over all proposals."""
        n = max(len(boxes), 1)
        labels = torch.where(targets.labels < 0, self.num_classes, targets.labels)
        classes = (cross_entropy(logits, labels, reduction='none') * targets.weights).sum() / n
        object_ = (targets.labels >= 0).nonzero()[:, 0]
        wanted = self.bbox_coder.encode(boxes[object_], targets.boxes[object_])
        given = deltas.view(len(deltas), -1, 4)[object_, labels[object_]]
        places = smooth_l1_loss(given, wanted, reduction='none').sum(1)
        return classes, (places * targets.weights[object_]).sum() / n

    def weak_loss(self, x: Sequence[Tensor], boxes: Tensor, tags: Tensor) -> Tensor:
        """() loss of the last head on an image's tags (the acquisition `loss` of BiB).

        Args:
            x: Feature maps of one image.
            boxes: (R, 4) proposals, R >= 1.
            tags: (T,) int64.
        """
        features = self.features(x, boxes)
        before = self.refine_class[-2](features).softmax(1)
        targets = weak_targets(boxes, before, tags, self.share, self.iou)
        logits, deltas = self.refine_class[-1](features), self.refine_box[-1](features)
        classes, places = self._head_losses(boxes, logits, deltas, targets)
        return classes + places

    def detect(
        self, x: Sequence[Tensor], boxes: Tensor, image: int, shape: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Mean over the refinement heads.

        Returns:
            (R, C, 4) boxes and (R, C + 1) probabilities, background last.
        """
        features = self.features(x, boxes, image)
        probs = torch.stack([head(features).softmax(1) for head in self.refine_class]).mean(0)
        deltas = torch.stack([head(features) for head in self.refine_box]).mean(0)
        decoded = self.bbox_coder.decode(boxes, deltas, max_shape=shape)
        return decoded.view(len(boxes), -1, 4), probs

    def forward(self, x: Any, rpn_results_list: Any, batch_data_samples: Any = None) -> Any:
        """Class logits of the last refinement head, for tools that count operations."""
        boxes = [_boxes(p) for p in rpn_results_list]
        found = [self.features(x, b, i) for i, b in enumerate(boxes)]
        return tuple(self.refine_class[-1](f) for f in found)

    def predict(
        self, x: Any, rpn_results_list: Any, batch_data_samples: Any, rescale: bool = False
    ) -> list[InstanceData]:
        """Detections of a batch, as mmdet's RoI heads give them."""
        results = []
        for i, (proposals, sample) in enumerate(zip(rpn_results_list, batch_data_samples)):
            meta = sample.metainfo
            boxes, probs = self.detect(x, _boxes(proposals), i, meta['img_shape'])
            if rescale:
                factor = meta.get('scale_factor', (1.0, 1.0))
                boxes = boxes / boxes.new_tensor(factor).repeat(2)
            cfg = self.test_cfg
            found, labels = multiclass_nms(
                boxes.flatten(1), probs, cfg['score_thr'], cfg['nms'], cfg['max_per_img']
            )
            results.append(InstanceData(bboxes=found[:, :4], scores=found[:, 4], labels=labels))
        return results


def known(sample: Any) -> tuple[Tensor, bool]:
    """What is known of an image: (T,) int64 its tags, and whether they are all."""
    weak = sample.metainfo.get('level', 'full') == 'weak'
    found = sample.gt_instances.labels
    if not weak:
        return found.unique(), False
    return torch.as_tensor(sample.metainfo['tags'], dtype=torch.long, device=found.device), True


def _boxes(proposals: Any) -> Tensor:
    return get_box_tensor(proposals.bboxes).float()


def _linears(count: int, width: int, out: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(width, out) for _ in range(count))
