"""mmdet transforms that carry the answered points of instances from the record to the model.

A pipeline is `LoadAnnotations`, `LoadPoints`, mmdet's augmentations, `ProjectPoints`,
`PackPointInputs`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from dense_al.datasets.point_boxes import PointBoxes

LABELS = (-1, 0, 1)


@TRANSFORMS.register_module()
class LoadPoints(BaseTransform):
    """Puts the points of the instances into `gt_bboxes`; stands behind `LoadAnnotations`.

    Each of `instances` may have
        points: (n, 2) x, y whole pixels of the original image; (x, y) is centred at x+.5, y+.5.
        point_labels: (n,) 1 foreground, 0 background, -1 cannot say.
        has_mask: Whether its `mask` is a full mask, False unless given.

    Where masks are loaded, those that are none are replaced by their boxes: mmdet centres the
    samples of CondInst on masks, and drops instances of small masks.

    Raises:
        ValueError: Labels that do not fit, boxes that other transforms changed already, or a full
            mask without masks loaded.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replaces `gt_bboxes` by `PointBoxes`."""
        boxes, instances = results.get('gt_bboxes'), results.get('instances', [])
        if not isinstance(boxes, HorizontalBoxes) or len(boxes) != len(instances):
            raise ValueError(
                f'Expected `gt_bboxes` of the {len(instances)} `instances`, as `LoadAnnotations` '
                f'with box_type `hbox` gives them, but got {boxes}'
            )
        if 'homography_matrix' in results or 'scale_factor' in results:
            raise ValueError(
                'Expected `LoadPoints` before all that moves the image, but got it behind: '
                'the points are pixels of the original'
            )
        points, labels = stack_points(instances)
        has_mask = np.array([bool(i.get('has_mask', False)) for i in instances], bool)
        if has_mask.any() and results.get('gt_masks') is None:
            raise ValueError(
                'Expected `gt_masks` where `has_mask` is true, but got none: set '
                '`LoadAnnotations.with_mask`'
            )
        if results.get('gt_masks') is not None:
            results['gt_masks'] = fill_boxes(results['gt_masks'], boxes, has_mask)
        results['gt_bboxes'] = PointBoxes(boxes.tensor, points, labels, has_mask, clone=False)
        return results


@TRANSFORMS.register_module()
class ProjectPoints(BaseTransform):
    """Takes the points out of `gt_bboxes` again; stands behind all that moves the image.

    Adds
        gt_points: (N, P, 2) float32 x, y in pixels of the image as it is now, -1 where ignored.
        gt_point_labels: (N, P) int64, -1 also for points that left the image.
        gt_has_mask: (N,) bool.

    Raises:
        ValueError: A transform in between made new boxes (Albu, RandomErasing, CopyPaste,
            RandomCrop with `recompute_bbox`), so that points are lost.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replaces `PointBoxes` in `gt_bboxes` by plain ones and adds three keys."""
        boxes = results.get('gt_bboxes')
        if not isinstance(boxes, PointBoxes) or not boxes.complete:
            raise ValueError(
                f'Expected `gt_bboxes` with points, but got {type(boxes).__name__} without: put '
                '`LoadPoints` before, and no transform between that makes new boxes (Albu, '
                'RandomErasing, CopyPaste, RandomCrop with recompute_bbox)'
            )
        height, width = results['img_shape'][:2]
        points, labels = boxes.points.numpy(), boxes.labels.numpy()
        inside = ((points >= 0) & (points < [width, height])).all(axis=-1) & (labels >= 0)
        results['gt_points'] = np.where(inside[..., None], points, np.float32(-1))
        results['gt_point_labels'] = np.where(inside, labels, -1)
        results['gt_has_mask'] = boxes.has_mask.numpy()
        results['gt_bboxes'] = boxes.plain()
        return results


@TRANSFORMS.register_module()
class PackPointInputs(PackDetInputs):
    """`PackDetInputs` with `points`, `point_labels` and `has_mask` in `gt_instances`."""

    mapping_table = {
        **PackDetInputs.mapping_table,
        'gt_points': 'points',
        'gt_point_labels': 'point_labels',
        'gt_has_mask': 'has_mask',
    }


def stack_points(instances: Sequence[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Points of the instances of an image, padded with -1.

    Args:
        instances: Dicts with `points` (n, 2) whole x, y and `point_labels` (n,), or neither.

    Returns:
        (N, P, 2) float32 centres of the pixels and (N, P) int64 labels.

    Raises:
        ValueError: Other shapes, positions or labels.

    >>> points, labels = stack_points([dict(points=[[3, 4]], point_labels=[1]), dict()])
    >>> points.tolist(), labels.tolist()
    ([[[3.5, 4.5]], [[-1.0, -1.0]]], [[1], [-1]])
    """
    given = [_checked(i, instance) for i, instance in enumerate(instances)]
    most = max((len(labels) for _, labels in given), default=0)
    points = np.full((len(given), most, 2), -1, np.float32)
    stacked = np.full((len(given), most), -1, np.int64)
    for i, (where, labels) in enumerate(given):
        points[i, : len(labels)], stacked[i, : len(labels)] = where + 0.5, labels
    return points, stacked


def fill_boxes(
    masks: BitmapMasks | PolygonMasks, boxes: HorizontalBoxes, has_mask: np.ndarray
) -> BitmapMasks | PolygonMasks:
    """Masks with the boxes in the place of those that are no full mask.

    Args:
        masks: N masks.
        boxes: N boxes in the same pixels.
        has_mask: (N,) bool.
    """
    if isinstance(masks, PolygonMasks):
        corners = boxes.tensor.numpy()[:, [0, 1, 2, 1, 2, 3, 0, 3]]
        polygons = [m if has else [c] for m, has, c in zip(masks.masks, has_mask, corners)]
        return PolygonMasks(polygons, masks.height, masks.width)
    filled = boxes.create_masks((masks.height, masks.width)).masks
    whole = np.where(has_mask[:, None, None], masks.masks, filled)
    return BitmapMasks(whole, masks.height, masks.width)


def _checked(number: int, instance: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) float64 points and (n,) int64 labels of an instance."""
    points = np.asarray(instance.get('points', ()), np.float64).reshape(-1, 2)
    labels = np.asarray(instance.get('point_labels', ()), np.int64).reshape(-1)
    if len(points) != len(labels):
        raise ValueError(
            f'Expected a label per point of instance {number}, '
            f'but got {len(points)} points and {len(labels)} labels'
        )
    if not (points == np.floor(points)).all():
        raise ValueError(f'Expected whole pixels in instance {number}, but got {points.tolist()}')
    if not np.isin(labels, LABELS).all():
        raise ValueError(f'Expected labels {LABELS} in instance {number}, but got {labels}')
    return points, labels
