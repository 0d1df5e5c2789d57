"""Non-maximum suppression, hard and soft, in plain torch."""

import torch
from torch import Tensor

from dense_al.ops.torchvision_ops import torchvision_ops, usable

_BLOCK = 128
_METHODS = ('naive', 'linear', 'gaussian')


def nms(boxes: Tensor, scores: Tensor, *, iou_threshold: float, offset: int = 0) -> Tensor:
    """Greedy non-maximum suppression: a box falls to a better one that it overlaps too much.

    Args:
        boxes: (N, 4) float, x1 y1 x2 y2 in pixels.
        scores: (N,) float; ties go to the lower index.
        iou_threshold: In [0, 1]; a box falls at an overlap above it.
        offset: 0, or 1 where width is ``x2 - x1 + 1``.

    Returns:
        (K,) int64 indices of the boxes kept, best first, on the device of `boxes`.

    Raises:
        ValueError: The shapes do not fit.
    """
    _check(boxes, scores, offset)
    if offset == 0 and usable(boxes, scores):
        return torchvision_ops().nms(boxes, scores, iou_threshold)
    order = scores.sort(dim=0, descending=True, stable=True).indices
    ranked = _working(boxes)[order]
    kept = []
    while len(order):
        block, rest = ranked[:_BLOCK], ranked[_BLOCK:]
        alive = _greedy(overlaps(block, block, offset) > iou_threshold)
        kept.append(order[:_BLOCK][alive])
        free = ~(overlaps(block[alive], rest, offset) > iou_threshold).any(dim=0)
        ranked, order = rest[free], order[_BLOCK:][free]
    return torch.cat(kept) if kept else order


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    *,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int = 0,
) -> Tensor:
    """Soft non-maximum suppression (Bodla et al., ICCV 2017): overlap lowers a score.

    Args:
        boxes: (N, 4) float, x1 y1 x2 y2 in pixels.
        scores: (N,) float; ties go to the lower index.
        dets: (N, 5) float, written: the first K rows become x1 y1 x2 y2 and the lowered score.
        iou_threshold: In [0, 1]; overlap from here on counts (`naive` and `linear`).
        sigma: Width of the Gaussian, > 0 (`gaussian`).
        min_score: A box whose score falls below is dropped.
        method: 0 `naive`, 1 `linear`, 2 `gaussian`.
        offset: 0, or 1 where width is ``x2 - x1 + 1``.

    Returns:
        (K,) int64 indices of the boxes kept, in the order in which they were picked.

    Raises:
        ValueError: The shapes do not fit, or there is no such method.
    """
    _check(boxes, scores, offset)
    if method not in range(len(_METHODS)):
        raise ValueError(f'Expected `method` to be 0, 1 or 2, but got {method}')
    left = torch.arange(len(boxes), device=boxes.device)
    corners, current = _working(boxes), _working(scores).clone()
    picked, lowered = [left[:0]], [current[:0]]
    while len(left):
        best = int(current.argmax())
        picked.append(left[best : best + 1])
        lowered.append(current[best : best + 1])
        overlap = overlaps(corners[best : best + 1], corners, offset)[0]
        current = current * _decay(overlap, iou_threshold, sigma, method)
        stays = current >= min_score
        stays[best] = False
        left, corners, current = left[stays], corners[stays], current[stays]
    keep = torch.cat(picked)
    dets[: len(keep), :4] = boxes[keep]
    dets[: len(keep), 4] = torch.cat(lowered).to(dets.dtype)
    return keep


def overlaps(first: Tensor, second: Tensor, offset: int = 0) -> Tensor:
    """Intersection over union of each pair of boxes.

    Args:
        first: (N, 4) float, x1 y1 x2 y2 in pixels.
        second: (M, 4) float.
        offset: 0, or 1 where width is ``x2 - x1 + 1``.

    Returns:
        (N, M) float; NaN for two boxes without area.
    """
    x1, y1, x2, y2 = (column[:, None] for column in first.unbind(dim=1))
    u1, v1, u2, v2 = second.t().contiguous()
    # In place, column by column: a quarter of the time of the broadcast over both corners.
    inter = torch.minimum(x2, u2).sub_(torch.maximum(x1, u1)).add_(offset).clamp_(min=0)
    inter.mul_(torch.minimum(y2, v2).sub_(torch.maximum(y1, v1)).add_(offset).clamp_(min=0))
    area = (x2 - x1 + offset) * (y2 - y1 + offset)
    return inter / (area + (u2 - u1 + offset) * (v2 - v1 + offset)).sub_(inter)


def best_of_each(owner: Tensor, quality: Tensor, most: int) -> Tensor:
    """Rows of the best of each owner.

    Args:
        owner: (K,) int64 >= 0.
        quality: (K,) float, higher is better.
        most: Of each owner.

    Returns:
        (K',) int64, owners ascending, best first.
    """
    order = quality.argsort(descending=True, stable=True)
    order = order[owner[order].argsort(stable=True)]
    counts = torch.bincount(owner)
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(owner), device=owner.device) - starts[owner[order]]
    return order[rank < most]


def _greedy(suppresses: Tensor) -> Tensor:
    """Survivors of a greedy pass over boxes that are sorted already.

    Repeats "alive is what no living better box suppresses" until nothing changes. After k
    repetitions the first k boxes are settled, so this ends, and the outcome is the greedy one.
    """
    above = suppresses.triu(diagonal=1)
    alive = torch.ones(len(above), dtype=torch.bool, device=above.device)
    while True:
        now = ~(above & alive[:, None]).any(dim=0)
        if torch.equal(now, alive):
            return alive
        alive = now


def _decay(overlap: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    if _METHODS[method] == 'gaussian':
        return torch.exp(-(overlap * overlap) / sigma)
    lowered = torch.zeros_like(overlap) if _METHODS[method] == 'naive' else 1 - overlap
    return torch.where(overlap >= iou_threshold, lowered, torch.ones_like(overlap))


def _working(values: Tensor) -> Tensor:
    """Half-precision values as float32, others as they are."""
    values = values.detach()
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _check(boxes: Tensor, scores: Tensor, offset: int) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f'Expected `boxes` of shape (N, 4), but got {tuple(boxes.shape)}')
    if scores.shape != boxes.shape[:1]:
        raise ValueError(
            f'Expected `scores` of shape ({len(boxes)},), but got {tuple(scores.shape)}'
        )
    if offset not in (0, 1):
        raise ValueError(f'Expected `offset` to be 0 or 1, but got {offset}')
