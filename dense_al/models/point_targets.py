"""What the positives of a batch are taught: a full mask, points, or neither.

`InstanceData` of mmdet holds of each image, beside boxes and classes:
    points: (N, P, 2) float32 x, y in pixels of the network's input, padded with -1.
    point_labels: (N, P) int64, 1 foreground, 0 background, -1 not to be counted.
    has_mask: (N,) bool, where `masks` is a full mask; elsewhere `masks` holds what is no label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dense_al.models.point_loss import choose_points, join_points


@dataclass(frozen=True, eq=False)
class PointTargets:
    """The labels of the K positives of a batch, image by image.

    Attributes:
        points: (K, P, 2) float32 x, y in pixels of the network's input.
        labels: (K, P) int64, 1 foreground, 0 background, -1 not to be counted.
        full: (K,) bool, positives that are taught a full mask.
    """

    points: Tensor
    labels: Tensor
    full: Tensor

    def shares(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The shares of masks and of points among the positives that are taught anything.

        With weights of these a positive counts the same whatever it is taught, and a batch of one
        kind alone has the loss of that kind alone.

        Args:
            labels: (K', P) labels of the positives without a full mask.

        Returns:
            Two scalars that sum to 1, or to 0 where nothing is taught.
        """
        masks, points = self.full.sum(), (labels >= 0).any(dim=1).sum()
        total = (masks + points).clamp(min=1)
        return masks / total, points / total


def match_points(
    instances: Sequence[Any], assigned: Sequence[Tensor], n_points: int | None = None
) -> PointTargets:
    """Labels of the positives of a batch.

    Args:
        instances: `InstanceData` of each image.
        assigned: (K_i,) int64 of each image: the instance that each positive is matched to.
        n_points: How many points of each instance to use, drawn anew in each call by torch's
            generator; None for all.

    Raises:
        ValueError: Labels that do not fit together.
    """
    points, labels, full = [], [], []
    for given, index in zip(instances, assigned):
        where, answers = _points_of(given)
        if n_points is not None:
            answers = choose_points(answers, n_points)
        points.append(where[index])
        labels.append(answers[index])
        full.append(full_masks(given)[index])
    return PointTargets(*join_points(points, labels), torch.cat(full))


def full_masks(instances: Any) -> Tensor:
    """(N,) bool: instances with a full mask.

    Without `has_mask` these are all where there are masks and no points (a fully labelled image of
    mmdet) and none where there are points.
    """
    n, device = len(instances.bboxes), instances.bboxes.device
    given = instances.get('has_mask', None)
    if given is None:
        whole = 'masks' in instances and 'point_labels' not in instances
        return torch.full((n,), whole, dtype=torch.bool, device=device)
    if 'masks' not in instances and bool(given.any()):
        raise ValueError('Expected `masks` where `has_mask` is true, but got none')
    return given.to(device)


def _points_of(instances: Any) -> tuple[Tensor, Tensor]:
    """Points and labels of an image, (N, 0, 2) and (N, 0) where there are none."""
    boxes = instances.bboxes
    if 'points' not in instances and 'point_labels' not in instances:
        none = torch.zeros(len(boxes), 0, dtype=torch.int64, device=boxes.device)
        return boxes.new_zeros(len(boxes), 0, 2), none
    points, labels = instances.get('points', None), instances.get('point_labels', None)
    if points is None or labels is None or points.shape != (*labels.shape, 2) or labels.ndim != 2:
        shapes = [None if part is None else tuple(part.shape) for part in (points, labels)]
        raise ValueError(
            'Expected `points` of shape (N, P, 2) and `point_labels` of shape (N, P), '
            f'but got {shapes[0]} and {shapes[1]}'
        )
    return points, labels
