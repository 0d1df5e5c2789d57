"""Boxes that carry the points of their instances through mmdet's transforms.

mmdet's transforms know four arrays of instances and drop rows of these alone: boxes, classes, masks
and ignore flags. Of their geometry many record no homography (RandomAffine, RandomShift, Expand,
MinIoURandomCrop, RandomCenterCropPad, Mosaic, MixUp), and those that do mix two conventions of
pixel centres in one matrix. But all of them select and move `gt_bboxes` through its methods; so the
points live there, are selected with the boxes, and are moved by the same calls.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.structures.bbox import HorizontalBoxes, register_box, register_box_converter
from torch import Tensor
from torch.nn.functional import pad


@register_box('pointed')
class PointBoxes(HorizontalBoxes):
    """Boxes with points and flags of each row.

    Where an operation of mmdet makes boxes anew, they have no points: `complete` is False.

    Args:
        data: (N, 4) x1, y1, x2, y2 in pixels.
        points: (N, P, 2) float x, y in the same pixels, the first one's centre at 0.5, 0.5.
        labels: (N, P) int64, 1 foreground, 0 background, -1 none.
        has_mask: (N,) bool, instances with a full mask.
        **kwargs: Of `HorizontalBoxes`.

    Raises:
        ValueError: Other shapes.
    """

    points: Tensor
    labels: Tensor
    has_mask: Tensor
    complete = False

    def __init__(
        self,
        data: Any,
        points: Any = None,
        labels: Any = None,
        has_mask: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data, **kwargs)
        if points is None:
            return
        self._carry(
            torch.as_tensor(points, dtype=torch.float32),
            torch.as_tensor(labels, dtype=torch.int64),
            torch.as_tensor(has_mask, dtype=torch.bool),
        )

    def _carry(self, points: Tensor, labels: Tensor, has_mask: Tensor) -> None:
        n = len(self)
        if points.shape != (*labels.shape, 2) or len(labels) != n or has_mask.shape != (n,):
            raise ValueError(
                f'Expected points (N, P, 2), labels (N, P) and flags (N,) of {n} boxes, but got '
                f'{tuple(points.shape)}, {tuple(labels.shape)} and {tuple(has_mask.shape)}'
            )
        self.points, self.labels, self.has_mask = points, labels, has_mask
        self.complete = True

    def plain(self) -> HorizontalBoxes:
        """The boxes alone."""
        return HorizontalBoxes(self.tensor, clone=False)

    def __getitem__(self, index: Any) -> 'PointBoxes':
        found = super().__getitem__(index)
        if self.complete and found.tensor.ndim == 2:
            at = torch.as_tensor(index) if isinstance(index, np.ndarray) else index
            rows = torch.arange(len(self))[at].reshape(-1)
            found._carry(self.points[rows], self.labels[rows], self.has_mask[rows])
        return found

    def clone(self) -> 'PointBoxes':
        """A copy to be moved on its own; what is carried is never changed in place."""
        copy = super().clone()
        if self.complete:
            copy._carry(self.points, self.labels, self.has_mask)
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> 'PointBoxes':
        memo[id(self)] = copy = self.clone()
        return copy

    @classmethod
    def cat(cls, box_list: Sequence['PointBoxes'], dim: int = 0) -> 'PointBoxes':
        """Joins rows; the points are padded to the largest number."""
        joined = super().cat(box_list, dim)
        if dim == 0 and all(boxes.complete for boxes in box_list):
            most = max(boxes.labels.shape[1] for boxes in box_list)
            gaps = [most - boxes.labels.shape[1] for boxes in box_list]
            joined._carry(
                torch.cat([pad(b.points, (0, 0, 0, g), value=-1) for b, g in zip(box_list, gaps)]),
                torch.cat([pad(b.labels, (0, g), value=-1) for b, g in zip(box_list, gaps)]),
                torch.cat([boxes.has_mask for boxes in box_list]),
            )
        return joined

    def flip_(self, img_shape: tuple[int, int], direction: str = 'horizontal') -> None:
        """Flips boxes and points; `img_shape` is height and width in pixels."""
        super().flip_(img_shape, direction)
        if self.complete:
            x, y = self.points.unbind(dim=-1)
            x = x if direction == 'vertical' else img_shape[1] - x
            y = y if direction == 'horizontal' else img_shape[0] - y
            self.points = torch.stack([x, y], dim=-1)

    def translate_(self, distances: tuple[float, float]) -> None:
        """Shifts boxes and points by x, y pixels."""
        super().translate_(distances)
        if self.complete:
            self.points = self.points + self.points.new_tensor(distances)

    def rescale_(self, scale_factor: tuple[float, float]) -> None:
        """Scales boxes and points by factors of x and y about the corner of the image."""
        super().rescale_(scale_factor)
        if self.complete:
            self.points = self.points * self.points.new_tensor(scale_factor)

    def rotate_(self, center: tuple[float, float], angle: float) -> None:
        """Rotates boxes and points clockwise by degrees about x, y."""
        matrix = np.vstack([cv2.getRotationMatrix2D(center, -angle, 1), [0, 0, 1]])
        self.project_(matrix)

    def project_(self, homography_matrix: Tensor | np.ndarray) -> None:
        """Maps boxes and points by a (3, 3) homography.

        mmdet calls this for what OpenCV's warps do to the image. They map the centres of pixels as
        whole numbers, which the points follow; the boxes do not, as in mmdet.
        """
        super().project_(homography_matrix)
        if self.complete:
            matrix = torch.as_tensor(homography_matrix, dtype=torch.float64)
            flat = self.points.double() - 0.5
            moved = torch.cat([flat, torch.ones_like(flat[..., :1])], dim=-1) @ matrix.T
            self.points = (moved[..., :2] / moved[..., 2:] + 0.5).float()


register_box_converter('pointed', 'hbox', lambda tensor: tensor)
