"""CondInst taught by points.

Tian et al., Conditional Convolutions for Instance Segmentation, ECCV 2020 (CondInst).
Tian et al., BoxInst, CVPR 2021 (the terms for boxes).
Li et al., APIS: Active Pointly-Supervised Instance Segmentation, ECCV 2022 (points).
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.data_preprocessors import BoxInstDataPreprocessor
from mmdet.models.dense_heads import BoxInstMaskHead
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from torch import Tensor

from dense_al.models.point_loss import point_bce, sample_logits
from dense_al.models.point_targets import PointTargets, match_points
from dense_al.ops.nms import best_of_each


@MODELS.register_module()
class PointSupCondInstMaskHead(BoxInstMaskHead):
    """CondInst's mask head for masks, points, and both in one batch.

    The map of each positive is sampled at the points of the instance that it is matched to.
    Instances with a full mask have the loss of `CondInstMaskHead`; see `point_targets` for the
    labels and for how the two are weighted.

    Args:
        *args, **kwargs: Of `BoxInstMaskHead`; `mask_feature_head.out_channels` must equal
            `feat_channels`, as mmdet's CondInst needs it.
        boxinst: Whether positives without a full mask also have BoxInst's terms; set
            `PointSupDataPreprocessor` for them. Their warm-up (`warmup_iters`) counts all
            iterations that the weights have seen.
        n_points: Points of each instance to use in an iteration, drawn at random; None for all.
        point_weight: Factor of the loss at points (APIS: 0.1 in the first round, then 1).
        count_ignored: Whether points that do not count are in the denominator, as in the released
            code.
        padding: Beyond the outermost cells of a map, see `sample_logits`.
        crop_to_box: Whether predicted masks end at their boxes: points lie inside of boxes, and say
            nothing about the rest of the map.

    Raises:
        ValueError: Channels that do not fit.
    """

    iteration: Tensor

    def __init__(
        self,
        *args: Any,
        boxinst: bool = False,
        n_points: int | None = None,
        point_weight: float = 1.0,
        count_ignored: bool = False,
        padding: str = 'border',
        crop_to_box: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.in_channels != self.feat_channels:
            raise ValueError(
                'Expected `mask_feature_head.out_channels` to equal `feat_channels` '
                f'({self.feat_channels}), as mmdet reads the parameters of the dynamic layers, '
                f'but got {self.in_channels}'
            )
        self.boxinst, self.n_points, self.point_weight = boxinst, n_points, point_weight
        self.count_ignored, self.padding, self.crop_to_box = count_ignored, padding, crop_to_box
        # Saved with the weights, so that a round that goes on from them has its warm-up behind it.
        self.register_buffer('iteration', torch.zeros((), dtype=torch.int64))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        # Weights of a stock CondInst have no count.
        state_dict.setdefault(f'{prefix}iteration', torch.zeros_like(self.iteration))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward_single(self, mask_feat: Tensor, positive_info: Any) -> tuple[Tensor]:
        """(K, h, w) logits of the K positives of an image, on the graph also where K is 0."""
        params = positive_info.get('param_preds')
        if len(params) == 0:
            # mmdet gives fresh zeros: without a gradient, distributed training waits forever.
            scale = self.mask_feat_stride // self.mask_out_stride
            none = mask_feat.new_zeros(0, *[scale * side for side in mask_feat.shape[1:]])
            return ((mask_feat.sum() + params.sum()) * none,)
        return super().forward_single(mask_feat, positive_info)

    def loss(
        self,
        x: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        positive_infos: Any = None,
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """As `BaseMaskHead.loss`, for instances with or without `masks`."""
        (mask_preds,) = self(x, positive_infos)
        instances, _, metas = unpack_gt_instances(batch_data_samples)
        for given, meta in zip(instances, metas):
            if 'masks' in given:
                given.masks = given.masks.pad(meta['batch_input_shape'])
        return self.loss_by_feat(mask_preds, instances, metas, positive_infos)

    def loss_by_feat(
        self,
        mask_preds: Sequence[Tensor],
        batch_gt_instances: Sequence[Any],
        batch_img_metas: Sequence[dict[str, Any]],
        positive_infos: Sequence[Any],
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Losses of the positives.

        Args:
            mask_preds: (K_i, h, w) logits of each image.
            batch_gt_instances: Of each image, see `point_targets`.
            batch_img_metas: Unused.
            positive_infos: Of each image: what the positives are matched to, their scores.
            **kwargs: Unused.

        Returns:
            Scalars `loss_mask` and `loss_mask_point`, with `boxinst` also `loss_mask_project` and
            `loss_mask_pairwise`.
        """
        chosen = [self._choose(info) for info in positive_infos]
        assigned = [info.pos_assigned_gt_inds[c] for info, c in zip(positive_infos, chosen)]
        preds = torch.cat([maps[c] for maps, c in zip(mask_preds, chosen)])
        given = match_points(batch_gt_instances, assigned, self.n_points)
        area = [side * self.mask_out_stride for side in preds.shape[1:]]
        rows = (~given.full).nonzero()[:, 0]
        labels = given.labels[rows]
        logits = sample_logits(preds[rows], given.points[rows], area, padding=self.padding)
        at_points = point_bce(logits, labels, count_ignored=self.count_ignored)
        masks, points = given.shares(labels)
        losses = {
            'loss_mask': self._dice(preds, batch_gt_instances, assigned, given) * masks,
            'loss_mask_point': self.point_weight * at_points * points,
        }
        if self.boxinst:
            share = len(rows) / max(len(preds), 1)
            terms = self._box_terms(preds, batch_gt_instances, assigned, given)
            losses['loss_mask_project'] = terms[0] * share
            losses['loss_mask_pairwise'] = terms[1] * share
            self.iteration += self.training
        return losses

    def _choose(self, info: Any) -> Tensor:
        """(K,) int64: the positives of an image to train, no more than mmdet's limits say."""
        assigned = info.pos_assigned_gt_inds
        n = len(assigned)
        if self.max_masks_to_train != -1 and n > self.max_masks_to_train:
            return torch.randperm(n)[: self.max_masks_to_train].to(assigned.device)
        if self.topk_masks_per_img == -1 or n == 0:
            return torch.arange(n, device=assigned.device)
        most = max(self.topk_masks_per_img // len(assigned.unique()), 1)
        centred = info.centernesses.sigmoid().reshape(-1)
        return best_of_each(assigned, info.scores.sigmoid().amax(dim=1) * centred, most)

    def _dice(
        self,
        preds: Tensor,
        instances: Sequence[Any],
        assigned: Sequence[Tensor],
        given: PointTargets,
    ) -> Tensor:
        """Mean loss of the positives with a full mask."""
        start, step = self.mask_out_stride // 2, self.mask_out_stride
        targets = [preds.new_zeros(0, *preds.shape[1:])]
        for labels, index, full in zip(instances, assigned, given.full.split(_lengths(assigned))):
            if full.any():
                masks = labels.masks.to_tensor(dtype=torch.bool, device=preds.device)
                targets.append(masks[index[full], start::step, start::step].to(preds))
        target = torch.cat(targets)
        if not len(target):
            return preds.sum() * 0
        losses = self.loss_mask(preds[given.full], target, reduction_override='none')
        return losses.sum() / len(target)

    def _box_terms(
        self,
        preds: Tensor,
        instances: Sequence[Any],
        assigned: Sequence[Tensor],
        given: PointTargets,
    ) -> tuple[Tensor, Tensor]:
        """BoxInst's projection and pairwise losses of the positives without a full mask."""
        similar = [_pairwise_of(labels) for labels in instances]
        similar = [pairs[index] for pairs, index in zip(similar, assigned) if len(index)]
        boxes = torch.cat([labels.bboxes[index] for labels, index in zip(instances, assigned)])
        rows = (~given.full).nonzero()[:, 0]
        if not len(rows):
            return preds.sum() * 0, preds.sum() * 0
        maps = preds[rows]
        target = box_maps(boxes[rows], maps.shape[1:], self.mask_out_stride).to(maps)
        project = sum(
            self.loss_mask(
                maps.amax(dim=axis, keepdim=True),
                target.amax(dim=axis, keepdim=True),
                reduction_override='none',
            ).sum()
            for axis in (1, 2)
        )
        pairs = torch.cat(similar)[rows].to(maps)
        if pairs.shape[2:] != maps.shape[1:]:
            raise ValueError(
                f'Expected `pairwise_masks` of size {tuple(maps.shape[1:])}, but got '
                f'{tuple(pairs.shape[2:])}: `data_preprocessor.mask_stride` must equal '
                f'`mask_head.mask_out_stride` ({self.mask_out_stride})'
            )
        pairs = pairs * target[:, None]
        pairwise = (self.get_pairwise_affinity(maps) * pairs).sum() / pairs.sum().clamp(min=1)
        warmth = (self.iteration / max(self.warmup_iters, 1)).clamp(max=1)
        return project / len(rows), pairwise * warmth

    def _predict_by_feat_single(
        self,
        mask_preds: Tensor,
        bboxes: Tensor,
        img_meta: dict[str, Any],
        rescale: bool,
        cfg: Any = None,
    ) -> Tensor:
        """(K, H, W) bool masks of an image; mmdet moves `bboxes` to their pixels in place."""
        masks = super()._predict_by_feat_single(mask_preds, bboxes, img_meta, rescale, cfg)
        if not self.crop_to_box:
            return masks
        x1, y1, x2, y2 = bboxes[:, :, None, None].unbind(dim=1)
        y = torch.arange(masks.shape[1], device=masks.device)[None, :, None] + 0.5
        x = torch.arange(masks.shape[2], device=masks.device)[None, None] + 0.5
        return masks & (x >= x1) & (x < x2) & (y >= y1) & (y < y2)


@MODELS.register_module()
class PointSupDataPreprocessor(BoxInstDataPreprocessor):
    """`BoxInstDataPreprocessor` that leaves the full masks in `masks` as they are."""

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Batches and normalises the images and, in training, adds `pairwise_masks`."""
        samples = data['data_samples'] if training else []
        kept = [sample.gt_instances.get('masks', None) for sample in samples]
        found = super().forward(data, training)
        for sample, masks in zip(found['data_samples'], kept) if training else ():
            if masks is None:
                del sample.gt_instances.masks
            else:
                sample.gt_instances.masks = masks  # the head pads them
        return found


def box_maps(boxes: Tensor, size: Sequence[int], stride: int) -> Tensor:
    """Filled boxes at the cells of a map, as BoxInst draws them.

    Args:
        boxes: (K, 4) float x1, y1, x2, y2 in pixels, not negative.
        size: Height and width of the map in cells.
        stride: Pixels per cell; the cell stands for the pixel in its middle.

    Returns:
        (K, h, w) bool.
    """
    y, x = (torch.arange(n, device=boxes.device) * stride + stride // 2 for n in size)
    x1, y1 = boxes[:, :2].long()[:, :, None].unbind(dim=1)
    x2, y2 = (boxes[:, 2:] + 1).long()[:, :, None].unbind(dim=1)
    return ((y >= y1) & (y < y2))[:, :, None] & ((x >= x1) & (x < x2))[:, None]


def _lengths(parts: Sequence[Tensor]) -> list[int]:
    return [len(part) for part in parts]


def _pairwise_of(instances: Any) -> Tensor:
    """(N, neighbours, h, w) float: neighbours of like colour."""
    if 'pairwise_masks' not in instances:
        raise ValueError(
            'Expected `pairwise_masks` for `boxinst`, but got none: set '
            "`data_preprocessor.type='PointSupDataPreprocessor'`"
        )
    return instances.pairwise_masks
