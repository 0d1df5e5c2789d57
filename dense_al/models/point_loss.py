"""Masks from points: bilinear samples of mask logits, cross-entropy at the answered points.

Cheng et al., Pointly-Supervised Instance Segmentation, CVPR 2022 (PointSup).
Li et al., APIS: Active Pointly-Supervised Instance Segmentation, ECCV 2022.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, grid_sample, pad

from dense_al.registry import nearest

PADDINGS = ('border', 'zeros')


def sample_logits(
    logits: Tensor, points: Tensor, size: Sequence[float], *, padding: str = 'border'
) -> Tensor:
    """Bilinear samples of maps at points, each map at its own points.

    Args:
        logits: (K, h, w) float maps, cell centres at halves (``align_corners=False``).
        points: (K, P, 2) float x, y in pixels, the centre of the first pixel at 0.5, 0.5.
        size: Height and width in those pixels of the area that a map covers.
        padding: What lies beyond the outermost cell centres: `border`, the nearest cell, or
            `zeros`, as in the released code of PointSup and APIS.

    Returns:
        (K, P) float32, or float64 for float64 logits.

    Raises:
        ValueError: Shapes that do not fit, an area without extent, or another padding.

    >>> logits = torch.tensor([[[0.0, 4.0]]])
    >>> sample_logits(logits, torch.tensor([[[1.0, 1.0], [2.0, 1.0]]]), (2, 4)).tolist()
    [[0.0, 2.0]]
    """
    _check_sample(logits, points, size, padding)
    if logits.dtype not in (torch.float32, torch.float64):
        logits = logits.float()
    if not points.numel():
        return logits.sum() * logits.new_zeros(points.shape[:2])
    height, width = size
    grid = points.to(logits) * 2 / logits.new_tensor([width, height]) - 1
    found = grid_sample(
        logits[:, None], grid[:, None], mode='bilinear', padding_mode=padding, align_corners=False
    )
    return found[:, 0, 0]


def point_bce(logits: Tensor, labels: Tensor, *, count_ignored: bool = False) -> Tensor:
    """Binary cross-entropy at points, averaged over the answered ones.

    Args:
        logits: (K, P) float.
        labels: (K, P) integers: 1 foreground, 0 background, -1 not to be counted.
        count_ignored: Whether points of label -1 count in the denominator, as in the released
            code, where every instance has the same number of points.

    Returns:
        Scalar in nats; 0 with a gradient of zeros where no point is answered.

    Raises:
        ValueError: Shapes that do not fit.

    References:
        Cheng et al., Pointly-Supervised Instance Segmentation, CVPR 2022.

    >>> point_bce(torch.zeros(1, 2), torch.tensor([[1, -1]])).item()
    0.6931471824645996
    """
    if logits.ndim != 2 or logits.shape != labels.shape:
        raise ValueError(
            'Expected `logits` and `labels` of one shape (K, P), '
            f'but got {tuple(logits.shape)} and {tuple(labels.shape)}'
        )
    answered = labels >= 0
    targets = labels.clamp(min=0).to(logits)
    losses = binary_cross_entropy_with_logits(logits, targets, reduction='none')
    counted = torch.ones_like(answered) if count_ignored else answered
    return losses.where(answered, 0).sum() / counted.sum().clamp(min=1)


def points_in_boxes(points: Tensor, labels: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Points relative to boxes; those outside are not to be counted.

    Args:
        points: (K, P, 2) float x, y in pixels.
        labels: (K, P) integers, -1 for points not to be counted.
        boxes: (K, 4) float x1, y1, x2, y2 in the same pixels.

    Returns:
        (K, P, 2) float positions, 0 to 1 inside the box, and (K, P) labels with -1 outside of it.

    Raises:
        ValueError: Shapes that do not fit.

    >>> points = torch.tensor([[[3.0, 4.0], [9.0, 4.0]]])
    >>> found, labels = points_in_boxes(points, torch.ones(1, 2), torch.tensor([[2.0, 2, 6, 6]]))
    >>> found[0, 0].tolist(), labels.tolist()
    ([0.25, 0.5], [[1.0, -1.0]])
    """
    k = len(points)
    if points.ndim != 3 or labels.shape != points.shape[:2] or boxes.shape != (k, 4):
        raise ValueError(
            'Expected `points` (K, P, 2), `labels` (K, P) and `boxes` (K, 4), but got '
            f'{tuple(points.shape)}, {tuple(labels.shape)} and {tuple(boxes.shape)}'
        )
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=torch.finfo(boxes.dtype).eps)
    found = (points - boxes[:, None, :2]) / sides[:, None]
    inside = ((found >= 0) & (found <= 1)).all(dim=-1)
    return found, labels.where(inside, -1)


def choose_points(labels: Tensor, n: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Labels with all but n randomly chosen answered points of each instance at -1.

    Args:
        labels: (N, P) integers, -1 for points not to be counted.
        n: How many answered points to keep, > 0; all where there are not more.
        generator: Source of the choice on the labels' device; without it torch's own.

    Returns:
        (N, P) labels.

    Raises:
        ValueError: n below 1.

    >>> (choose_points(torch.tensor([[1, 0, -1, 1], [-1, -1, 0, -1]]), 2) >= 0).sum(1).tolist()
    [2, 1]
    """
    if n < 1:
        raise ValueError(f'Expected at least one point to choose, but got {n}')
    keys = torch.rand(labels.shape, generator=generator, device=labels.device)
    keys = keys.masked_fill(labels < 0, 2.0)
    rank = keys.argsort(dim=1).argsort(dim=1)
    return labels.where(rank < n, -1)


def join_points(points: Sequence[Tensor], labels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Points of several images as one, padded with -1 to the largest number of points.

    Args:
        points: (N_i, P_i, 2) float of each image.
        labels: (N_i, P_i) integers of each image.

    Returns:
        (sum of N_i, P, 2) points and (sum of N_i, P) labels.

    >>> join_points([torch.zeros(1, 1, 2), torch.zeros(2, 3, 2)],
    ...             [torch.ones(1, 1), torch.ones(2, 3)])[1].tolist()
    [[1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    most = max(part.shape[1] for part in labels)
    return (
        torch.cat([pad(p, (0, 0, 0, most - p.shape[1]), value=-1) for p in points]),
        torch.cat([pad(part, (0, most - part.shape[1]), value=-1) for part in labels]),
    )


def _check_sample(logits: Tensor, points: Tensor, size: Sequence[float], padding: str) -> None:
    if logits.ndim != 3 or points.ndim != 3 or points.shape[2] != 2 or len(logits) != len(points):
        raise ValueError(
            'Expected `logits` (K, h, w) and `points` (K, P, 2), '
            f'but got {tuple(logits.shape)} and {tuple(points.shape)}'
        )
    if len(size) != 2 or min(size) <= 0:
        raise ValueError(f'Expected `size` to be a height and a width above 0, but got {size}')
    if padding not in PADDINGS:
        raise ValueError(f'Unknown `padding` {padding!r}. {nearest(padding, PADDINGS)}')
