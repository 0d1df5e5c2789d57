"""Mask R-CNN taught by points.

Cheng et al., Pointly-Supervised Instance Segmentation, CVPR 2022 (PointSup).
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.registry import MODELS
from mmdet.structures.mask import mask_target
from torch import Tensor

from dense_al.models.point_loss import point_bce, points_in_boxes, sample_logits
from dense_al.models.point_targets import PointTargets, match_points


@MODELS.register_module()
class PointSupMaskHead(FCNMaskHead):
    """A mask head of mmdet's `StandardRoIHead` for masks, points, and both in one batch.

    Logits are sampled at the points of the instance that a proposal is matched to; points outside
    of the proposal do not count. Instances with a full mask have the loss of `FCNMaskHead`; see
    `point_targets` for the labels and for how the two are weighted.

    Args:
        *args, **kwargs: Of `FCNMaskHead`.
        n_points: Points of each instance to use in an iteration, drawn at random (PointSup: 5 of
            10); None for all.
        point_weight: Factor of the loss at points.
        count_ignored: Whether points that do not count are in the denominator, as in the released
            code.
        padding: Beyond the outermost cells of a mask, see `sample_logits`.
    """

    def __init__(
        self,
        *args: Any,
        n_points: int | None = None,
        point_weight: float = 1.0,
        count_ignored: bool = False,
        padding: str = 'border',
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.n_points, self.point_weight = n_points, point_weight
        self.count_ignored, self.padding = count_ignored, padding

    def loss_and_target(
        self,
        mask_preds: Tensor,
        sampling_results: Sequence[Any],
        batch_gt_instances: Sequence[Any],
        rcnn_train_cfg: Any,
    ) -> dict[str, Any]:
        """Losses of the positive proposals.

        Args:
            mask_preds: (K, C or 1, h, w) logits of all positives.
            sampling_results: Of each image: the positives and what they are matched to.
            batch_gt_instances: Of each image, see `point_targets`.
            rcnn_train_cfg: `train_cfg.rcnn`; `mask_size` is the side of a mask's target.

        Returns:
            `loss_mask`, a dict of `loss_mask` and `loss_mask_point`, scalars; and `mask_targets`,
            the (K', h, w) targets of the K' positives with a full mask.
        """
        assigned = [result.pos_assigned_gt_inds for result in sampling_results]
        given = match_points(batch_gt_instances, assigned, self.n_points)
        classes = torch.cat([result.pos_gt_labels for result in sampling_results])
        if self.class_agnostic:
            classes = torch.zeros_like(classes)
        boxes = torch.cat([result.pos_priors for result in sampling_results])
        point_loss, labels = self._point_loss(mask_preds, classes, boxes, given)
        masks, points = given.shares(labels)
        targets = self._full_targets(
            mask_preds, sampling_results, batch_gt_instances, given, rcnn_train_cfg
        )
        mask_loss = mask_preds.sum() * 0
        if len(targets):
            mask_loss = self.loss_mask(mask_preds[given.full], targets, classes[given.full])
        losses = {
            'loss_mask': mask_loss.sum() * masks,
            'loss_mask_point': self.point_weight * point_loss * points,
        }
        return {'loss_mask': losses, 'mask_targets': targets}

    def _point_loss(
        self, mask_preds: Tensor, classes: Tensor, boxes: Tensor, given: PointTargets
    ) -> tuple[Tensor, Tensor]:
        """Loss of the positives without a full mask, and their (K', P) labels that count."""
        rows = (~given.full).nonzero()[:, 0]
        maps = mask_preds[rows, classes[rows]]
        points, labels = points_in_boxes(given.points[rows], given.labels[rows], boxes[rows])
        logits = sample_logits(maps, points, (1, 1), padding=self.padding)
        return point_bce(logits, labels, count_ignored=self.count_ignored), labels

    def _full_targets(
        self,
        mask_preds: Tensor,
        sampling_results: Sequence[Any],
        instances: Sequence[Any],
        given: PointTargets,
        rcnn_train_cfg: Any,
    ) -> Tensor:
        """(K', h, w) targets of the positives with a full mask."""
        parts = given.full.split([len(result.pos_priors) for result in sampling_results])
        targets = [
            mask_target(
                [result.pos_priors[full]],
                [result.pos_assigned_gt_inds[full]],
                [labels.masks],
                rcnn_train_cfg,
            )
            for result, labels, full in zip(sampling_results, instances, parts)
            if full.any()
        ]
        return torch.cat(targets) if targets else mask_preds.new_zeros(0, *mask_preds.shape[2:])
