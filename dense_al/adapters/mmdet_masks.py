"""What an mmdet model says of the masks of given objects, pixel by pixel inside their boxes.

Li et al., APIS: Active Pointly-Supervised Instance Segmentation, ECCV 2022: the mean over all
places of CondInst that training would match to an object. Here the model is in evaluation mode, so
that what is scored is what it would predict.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn.functional import grid_sample

from dense_al.acquisition.functional import pixel_boxes
from dense_al.adapters.mmdet_predict import stochastic
from dense_al.ops.nms import best_of_each
from dense_al.registry import ConfigError
from dense_al.structures import MaskOptions

PER_IMAGE = 500  # positives of an image, as in the published code
MATCHED = 0.5  # overlap from which a proposal counts as an object's

Maps = tuple[np.ndarray | None, ...]


class MaskReader:
    """Maps of given objects of one image, whose feature maps are given.

    Args:
        model: The model.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.last: list[Any] = []  # layers that stochastic passes put dropout in front of

    def maps(
        self, features: Any, given: InstanceData, sample: Any, most: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Maps of all positives.

        Args:
            features: Feature maps of the image.
            given: `bboxes` (N, 4) in pixels of the network's input and `labels` (N,).
            sample: mmdet's data sample of the image.
            most: Positives of an object.

        Returns:
            (K, h, w) probabilities, (K, 4) float the boxes that the maps cover, x1 y1 x2 y2 in
            pixels of the network's input, and (K,) int64 ascending objects.
        """
        raise NotImplementedError


class CondInstReader(MaskReader):
    """CondInst: a map of the whole image for every place that training matches to an object."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.last = [model.bbox_head.controller, model.mask_head.mask_feature_head.conv_pred]

    def maps(
        self, features: Any, given: InstanceData, sample: Any, most: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        head, mask_head = self.model.bbox_head, self.model.mask_head
        scores, _, centred, params = head(features)
        sizes = [s.shape[-2:] for s in scores]
        priors = head.prior_generator.grid_priors(
            sizes, dtype=scores[0].dtype, device=scores[0].device, with_stride=True
        )
        places = torch.cat(priors)
        ranges = [
            p.new_tensor(r)[None].expand(len(p), 2) for p, r in zip(priors, head.regress_ranges)
        ]
        *_, at, owner = head._get_targets_single(
            given, places[:, :2], torch.cat(ranges), [len(p) for p in priors]
        )
        quality = torch.cat([_flat(s, head.cls_out_channels) for s in scores])[at]
        quality = quality[torch.arange(len(at)), given.labels[owner]].sigmoid()
        quality = quality * torch.cat([_flat(c, 1)[:, 0] for c in centred])[at].sigmoid()
        keep = best_of_each(owner, quality, most)
        at, owner = at[keep], owner[keep]
        positives = InstanceData(
            points=places[at, :2],
            strides=places[at, 2],
            param_preds=torch.cat([_flat(p, head.num_params) for p in params])[at],
        )
        (found,) = mask_head(features, [positives])
        maps = found[0].sigmoid()
        height, width = (side * mask_head.mask_out_stride for side in maps.shape[-2:])
        whole = maps.new_tensor([0, 0, width, height]).expand(len(maps), 4)
        return maps, whole, owner


class RoIReader(MaskReader):
    """Mask R-CNN: the object's box, and the proposals that training would match to it."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.last = [model.roi_head.mask_head.conv_logits]

    def maps(
        self, features: Any, given: InstanceData, sample: Any, most: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        boxes, owner = given.bboxes, torch.arange(len(given.bboxes), device=given.bboxes.device)
        if most > 1:
            proposals = self.model.rpn_head.predict(features, [sample], rescale=False)[0]
            overlap, matched = bbox_overlaps(proposals.bboxes, boxes).max(dim=1)
            near = overlap >= MATCHED
            boxes = torch.cat([boxes, proposals.bboxes[near]])
            quality = torch.cat([boxes.new_full((len(owner),), 2.0), overlap[near]])
            owner = torch.cat([owner, matched[near]])
            keep = best_of_each(owner, quality, most)
            boxes, owner = boxes[keep], owner[keep]
        head = self.model.roi_head
        rois = torch.cat([boxes.new_zeros(len(boxes), 1), boxes], dim=1)
        logits = head._mask_forward(features, rois)['mask_preds']
        label = owner.new_zeros(len(owner)) if logits.shape[1] == 1 else given.labels[owner]
        maps = logits[torch.arange(len(owner), device=owner.device), label].sigmoid()
        return maps, boxes, owner


def mask_reader_of(model: Any) -> MaskReader:
    """The reader of a model's mask head.

    Raises:
        ConfigError: A family without one.
    """
    if hasattr(getattr(model, 'bbox_head', None), 'controller'):
        return CondInstReader(model)
    if hasattr(getattr(getattr(model, 'roi_head', None), 'mask_head', None), 'conv_logits'):
        return RoIReader(model)
    raise ConfigError(
        'Expected a model whose masks of given objects can be read (CondInst, Mask R-CNN), '
        f'but got `{type(model).__name__}`'
    )


def object_maps(model: Any, batch: Any, options: MaskOptions) -> Iterator[Maps]:
    """Maps of the objects of each image of a batch.

    Args:
        model: An mmdet model in evaluation mode.
        batch: As its data loader gives it; metainfo holds `sample`, `objects` (N, 4) x1 y1 x2 y2 in
            pixels of the original image, and `object_labels`.
        options: Which maps.

    Yields:
        Of each image and object (V, h, w) float32 probabilities of the pixels in its box,
        bilinearly from the map's cells; None for an object that nothing is matched to.
    """
    reader = mask_reader_of(model)
    data = model.data_preprocessor(batch, False)
    inputs = data['inputs']
    features = model.extract_feat(inputs)
    mirrored = model.extract_feat(inputs.flip(3)) if options.views == 'flip' else None
    for i, sample in enumerate(data['data_samples']):
        levels = [tuple(level[i : i + 1] for level in features)]
        if mirrored is not None:
            levels.append(tuple(level[i : i + 1] for level in mirrored))
        yield _maps_of(reader, levels, sample, options, tuple(inputs.shape[-2:]))


def _maps_of(
    reader: MaskReader,
    levels: Sequence[Any],
    sample: Any,
    options: MaskOptions,
    size: tuple[int, int],
) -> Maps:
    """Maps of the objects of one image, whose network input has a padded (height, width)."""
    meta = sample.metainfo
    device = levels[0][0].device
    scale = torch.tensor(meta['scale_factor'], dtype=torch.float32, device=device)
    drawn = np.asarray(meta['objects'], np.float32).reshape(-1, 4)
    if len(drawn) == 0:
        return ()
    given = InstanceData(
        bboxes=torch.as_tensor(drawn, device=device) * scale.repeat(2),
        labels=torch.as_tensor(meta['object_labels'], dtype=torch.long, device=device),
    )
    pixels = pixel_boxes(drawn, *meta['ori_shape'][:2])
    grids = [_centres(box, scale) for box in pixels]
    if options.views == 'positives':
        found = [_sampled(reader, levels[0], given, sample, options, grids, options.mean)]
    elif options.views == 'dropout':
        found = []
        for k in range(options.passes):
            with stochastic(reader.last, options, (int(meta['sample']), k)):
                found.append(_sampled(reader, levels[0], given, sample, options, grids, True))
    else:
        found = [_sampled(reader, levels[0], given, sample, options, grids, True)]
        turned, at = _mirrored(given, sample, size)
        there = [(y, size[1] - x) for y, x in grids]
        found.append(_sampled(reader, levels[1], turned, at, options, there, True))
    return tuple(_joined(views, options.mean) for views in zip(*found))


def _mirrored(given: InstanceData, sample: Any, size: tuple[int, int]) -> tuple[InstanceData, Any]:
    """Objects and data sample of the mirrored input, where the image is behind its padding."""
    boxes = given.bboxes[:, [2, 1, 0, 3]] * given.bboxes.new_tensor([-1, 1, -1, 1])
    boxes[:, [0, 2]] += size[1]
    there = sample.new(metainfo={**sample.metainfo, 'img_shape': size})
    return InstanceData(bboxes=boxes, labels=given.labels), there


def _centres(box: np.ndarray, scale: Tensor) -> tuple[Tensor, Tensor]:
    """(h,) y and (w,) x of a box's pixels in the network's input."""
    x0, y0, x1, y1 = (int(v) for v in box)
    y = torch.arange(y0, y1, dtype=torch.float32, device=scale.device) + 0.5
    x = torch.arange(x0, x1, dtype=torch.float32, device=scale.device) + 0.5
    return y * scale[1], x * scale[0]


def _sampled(
    reader: MaskReader,
    levels: Any,
    given: InstanceData,
    sample: Any,
    options: MaskOptions,
    grids: Sequence[tuple[Tensor, Tensor]],
    mean: bool,
) -> list[Tensor | None]:
    """(V, h, w) of each object at its pixels, or (1, h, w) with `mean`."""
    most = min(options.most, max(PER_IMAGE // len(grids), 1))
    maps, covered, owner = reader.maps(levels, given, sample, most)
    ends = torch.bincount(owner, minlength=len(grids)).cumsum(0).tolist()
    found: list[Tensor | None] = []
    for start, end, (y, x) in zip([0, *ends], ends, grids):
        if start == end:
            found.append(None)
            continue
        part, boxes = maps[start:end], covered[start:end]
        if mean and bool((boxes == boxes[0]).all()):  # the mean and the sampling are both linear
            part, boxes = part.mean(0, keepdim=True), boxes[:1]
        values = _at(part, boxes, y, x)
        found.append(values.mean(0, keepdim=True) if mean else values)
    return found


def _at(maps: Tensor, boxes: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """(V, h, w) values of (V, a, b) maps, which cover (V, 4) boxes, at h x w places."""
    low, span = boxes[:, :2], (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-6)
    across = (x[None] - low[:, :1]) / span[:, :1] * 2 - 1
    down = (y[None] - low[:, 1:]) / span[:, 1:] * 2 - 1
    shape = (len(maps), len(y), len(x))
    grid = torch.stack([across[:, None].expand(shape), down[:, :, None].expand(shape)], dim=-1)
    found = grid_sample(maps[:, None].float(), grid, padding_mode='border', align_corners=False)
    return found[:, 0]


def _joined(views: Sequence[Tensor | None], mean: bool) -> np.ndarray | None:
    """All views of one object, or their mean."""
    there = [view for view in views if view is not None]
    if not there:
        return None
    joined = torch.cat(there)
    joined = joined.mean(0, keepdim=True) if mean else joined
    return joined.clamp(0, 1).cpu().numpy()


def _flat(level: Tensor, width: int) -> Tensor:
    """(1, width, h, w) to (h * w, width)."""
    return level[0].permute(1, 2, 0).reshape(-1, width)
