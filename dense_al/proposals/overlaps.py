"""Boxes against boxes: overlap, near duplicates, recall."""

from collections.abc import Sequence

import numpy as np

_BLOCK = 256


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, M) intersection over union of (N, 4) and (M, 4) boxes x1, y1, x2, y2, ends excluded.

    >>> box_iou(np.array([[0, 0, 2, 2]]), np.array([[0, 0, 2, 2], [1, 0, 3, 2]])).round(3).tolist()
    [[1.0, 0.333]]
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(high - low, 0)
    shared = sides[..., 0] * sides[..., 1]
    area_first = (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1])
    area_second = (second[:, 2] - second[:, 0]) * (second[:, 3] - second[:, 1])
    union = area_first[:, None] + area_second[None] - shared
    return np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0)


def distinct_boxes(boxes: np.ndarray, max_overlap: float, max_boxes: int) -> np.ndarray:
    """The first boxes that overlap no earlier kept one by more than `max_overlap`.

    Args:
        boxes: (N, 4) x1, y1, x2, y2, ends excluded, best first.
        max_overlap: Largest intersection over union of two kept boxes; 1 drops nothing.
        max_boxes: How many to keep at most.

    Returns:
        (K,) int64 rows, ascending, K <= `max_boxes`.

    >>> distinct_boxes(np.array([[0, 0, 9, 9], [0, 0, 9, 8], [5, 5, 9, 9]]), 0.8, 10).tolist()
    [0, 2]
    """
    kept = np.empty(0, np.int64)
    for start in range(0, len(boxes), _BLOCK):
        rows: np.ndarray = np.arange(start, min(start + _BLOCK, len(boxes)))
        rows = rows[(box_iou(boxes[rows], boxes[kept]) <= max_overlap).all(axis=1)]
        clash = np.triu(box_iou(boxes[rows], boxes[rows]) > max_overlap, 1)
        free = np.ones(len(rows), bool)
        for i in np.flatnonzero(clash.any(axis=1)):
            if free[i]:
                free &= ~clash[i]
        kept = np.concatenate([kept, rows[free]])
        if len(kept) >= max_boxes:
            break
    return kept[:max_boxes]


def recall(
    targets: Sequence[np.ndarray], proposals: Sequence[np.ndarray], threshold: float = 0.5
) -> float:
    """The share of targets that some proposal of their image overlaps by at least `threshold`.

    Args:
        targets: (T, 4) boxes of each image, x1, y1, x2, y2.
        proposals: (N, 4) boxes of each image.
        threshold: Least intersection over union.

    Returns:
        In [0, 1]; NaN without any target.

    >>> recall([np.array([[0, 0, 2, 2], [5, 5, 9, 9]])], [np.array([[0, 0, 2, 3]])])
    0.5
    """
    best = [box_iou(t, p).max(axis=1, initial=0) for t, p in zip(targets, proposals, strict=True)]
    every = np.concatenate([np.empty(0), *best])
    return float((every >= threshold).mean()) if len(every) else float('nan')
