"""Box-in-box pairs: a small box swallowed by a larger one of the same class.

Such pairs mark a typical failure of weakly supervised detectors (a part next to a group of
objects) and are the elements of the BiB acquisition: Vo et al., Active Learning Strategies for
Weakly-Supervised Object Detection, ECCV 2022.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CONTAINERS = ('all', 'first')


def box_in_box_pairs(
    boxes: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    tags: ArrayLike,
    *,
    score_thr: float = 0.1,
    min_cover: float = 0.8,
    min_area_ratio: float = 3.0,
    containers: str = 'all',
) -> NDArray[np.int64]:
    """Pairs (small, big) of predicted boxes of one image, the small one inside the big one.

    Both boxes have the same class, the class is among the image's tags, both scores exceed
    `score_thr`. The intersection covers at least `min_cover` of the small box, with widths and
    heights counted in whole pixels (`x1 - x0 + 1`); the area of the big box, without the `+ 1`, is
    at least `min_area_ratio` times the area of the small one.

    Args:
        boxes: (N, 4) float, x0, y0, x1, y1 in pixels.
        labels: (N,) int, class of each box.
        scores: (N,) float in [0, 1].
        tags: (T,) int, the classes known to be present in the image.
        score_thr: Strict lower bound of the scores.
        min_cover: Covered fraction of the small box, in (0, 1].
        min_area_ratio: Area of the big box over that of the small one, > 0.
        containers: 'all' keeps every container of a small box; 'first' keeps the one with the
            lowest row, as the released BiB code does by a slip of indexing.

    Returns:
        (P, 2) int64 rows of `boxes`: (small, big), sorted.

    Raises:
        ValueError: Wrong shapes, non-finite boxes, or a parameter out of range.

    References:
        Vo et al., Active Learning Strategies for Weakly-Supervised Object Detection, ECCV 2022.

    >>> boxes = [[0, 0, 9, 9], [0, 0, 19, 19], [0, 0, 39, 39]]
    >>> box_in_box_pairs(boxes, [1, 1, 1], [0.9, 0.8, 0.7], tags=[1]).tolist()
    [[0, 1], [0, 2], [1, 2]]
    >>> box_in_box_pairs(boxes, [1, 1, 1], [0.9, 0.8, 0.7], [1], containers='first').tolist()
    [[0, 1], [1, 2]]
    """
    boxes, labels, scores = _checked_boxes(boxes, labels, scores)
    pairs, _ = box_in_box_pairs_batched(
        boxes,
        labels,
        scores,
        [0, len(boxes)],
        [tags],
        score_thr=score_thr,
        min_cover=min_cover,
        min_area_ratio=min_area_ratio,
        containers=containers,
    )
    return pairs


def box_in_box_pairs_batched(
    boxes: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    offsets: ArrayLike,
    tags: Sequence[ArrayLike],
    *,
    score_thr: float = 0.1,
    min_cover: float = 0.8,
    min_area_ratio: float = 3.0,
    containers: str = 'all',
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`box_in_box_pairs` of many images at once; the boxes of image `i` are rows
    `offsets[i]:offsets[i + 1]`.

    Args:
        boxes: (N, 4) float, x0, y0, x1, y1 in pixels, image after image.
        labels: (N,) int.
        scores: (N,) float in [0, 1].
        offsets: (images + 1,) int, ascending from 0 to N.
        tags: One (T_i,) int array per image.
        score_thr: See `box_in_box_pairs`.
        min_cover: See `box_in_box_pairs`.
        min_area_ratio: See `box_in_box_pairs`.
        containers: See `box_in_box_pairs`.

    Returns:
        (P, 2) int64 rows of `boxes` over all images (not relative to the image), sorted, and (P,)
        int64 image of each pair.

    Raises:
        ValueError: Wrong shapes, non-finite boxes, or a parameter out of range.

    References:
        Vo et al., Active Learning Strategies for Weakly-Supervised Object Detection, ECCV 2022.

    >>> boxes = [[0, 0, 9, 9], [0, 0, 19, 19], [5, 5, 9, 9], [0, 0, 29, 29]]
    >>> pairs, image = box_in_box_pairs_batched(
    ...     boxes, [1, 1, 2, 2], [0.5] * 4, offsets=[0, 2, 4], tags=[[1], [2]])
    >>> pairs.tolist(), image.tolist()
    ([[0, 1], [2, 3]], [0, 1])
    """
    boxes, labels, scores = _checked_boxes(boxes, labels, scores)
    offsets = _checked_offsets(offsets, len(boxes), len(tags))
    _check_parameters(score_thr, min_cover, min_area_ratio, containers)
    image = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    rows, group = _eligible(labels, scores, image, tags, score_thr)
    area = _area(boxes[rows], 0)
    order = np.lexsort((area, group))
    rows, group, area = rows[order], group[order], area[order]
    small, big = _candidates(group, area, min_area_ratio)
    ratio_ok = (area[big] >= min_area_ratio * area[small]) & (area[big] > 0)
    small, big = _covered(boxes[rows], small[ratio_ok], big[ratio_ok], min_cover)
    small, big = rows[small], rows[big]
    order = np.lexsort((big, small))
    small, big = small[order], big[order]
    if containers == 'first':
        small, keep = np.unique(small, return_index=True)
        big = big[keep]
    return np.stack([small, big], axis=1), image[small]


def _eligible(
    labels: NDArray, scores: NDArray, image: NDArray, tags: Sequence[ArrayLike], score_thr: float
) -> tuple[NDArray, NDArray]:
    """Rows over the threshold whose class is tagged, and their (image, class) as one integer."""
    rows = np.flatnonzero(scores > score_thr)
    flat_tags = [np.asarray(t, dtype=np.int64).ravel() for t in tags]
    tag_image = np.repeat(np.arange(len(flat_tags)), [len(t) for t in flat_tags])
    tag = np.concatenate([*flat_tags, np.zeros(0, np.int64)])
    if len(rows) == 0 or len(tag) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low = min(labels.min(), tag.min())
    width = max(labels.max(), tag.max()) - low + 1
    group = image[rows] * width + labels[rows] - low
    tagged = np.isin(group, tag_image * width + tag - low)
    return rows[tagged], group[tagged]


def _candidates(group: NDArray, area: NDArray, min_area_ratio: float) -> tuple[NDArray, NDArray]:
    """Positions (small, big) within a group, sorted by (group, area), that may pass the ratio."""
    n = len(group)
    if n == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    ends = np.r_[starts[1:], n]
    sizes = ends - starts
    end = np.repeat(ends, sizes)
    # A ratio above 1 orders the pair by area; otherwise every ordered pair is a candidate.
    begin = np.arange(1, n + 1) if min_area_ratio > 1 else np.repeat(starts, sizes)
    count = end - begin
    small = np.repeat(np.arange(n), count)
    first = np.cumsum(count) - count
    big = np.arange(len(small)) + np.repeat(begin - first, count)
    if min_area_ratio <= 1:
        small, big = small[small != big], big[small != big]
    return small, big


def _area(boxes: NDArray, extra: float) -> NDArray:
    return (boxes[:, 2] - boxes[:, 0] + extra) * (boxes[:, 3] - boxes[:, 1] + extra)


def _covered(
    boxes: NDArray, small: NDArray, big: NDArray, min_cover: float
) -> tuple[NDArray, NDArray]:
    """Pairs whose small box lies inside the big one by at least `min_cover`, in whole pixels."""
    x0, y0, x1, y1 = boxes.T.copy()
    width, height = x1 - x0 + 1, y1 - y0 + 1
    shared = np.minimum(x1[small], x1[big]) - np.maximum(x0[small], x0[big]) + 1
    # The area is covered no more than the width; the margin is far above rounding.
    keep = shared >= (min_cover - 1e-9) * width[small]
    small, big, shared = small[keep], big[keep], shared[keep]
    down = np.minimum(y1[small], y1[big]) - np.maximum(y0[small], y0[big]) + 1
    keep = shared * np.maximum(down, 0) / (width * height)[small] >= min_cover
    return small[keep], big[keep]


def _checked_boxes(
    boxes: ArrayLike, labels: ArrayLike, scores: ArrayLike
) -> tuple[NDArray, NDArray, NDArray]:
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f'Expected `boxes` of shape (N, 4), but got {boxes.shape}')
    labels, scores = np.asarray(labels), np.asarray(scores)
    for name, value in (('labels', labels), ('scores', scores)):
        if value.shape != (len(boxes),):
            raise ValueError(f'Expected `{name}` of shape ({len(boxes)},), but got {value.shape}')
    if not np.isfinite(boxes).all():
        raise ValueError('Expected finite `boxes`, but got NaN or infinity')
    if (boxes[:, 2:] < boxes[:, :2]).any():
        raise ValueError('Expected `boxes` as x0, y0, x1, y1 with x0 <= x1 and y0 <= y1')
    return boxes, labels.astype(np.int64), scores


def _checked_offsets(offsets: ArrayLike, n_boxes: int, n_images: int) -> NDArray:
    offsets = np.asarray(offsets, dtype=np.int64)
    if offsets.shape != (n_images + 1,):
        raise ValueError(f'Expected `offsets` of shape ({n_images + 1},), but got {offsets.shape}')
    if offsets[0] != 0 or offsets[-1] != n_boxes or (np.diff(offsets) < 0).any():
        raise ValueError(f'Expected `offsets` ascending from 0 to {n_boxes}, but got {offsets}')
    return offsets


def _check_parameters(
    score_thr: float, min_cover: float, min_area_ratio: float, containers: str
) -> None:
    if not np.isfinite(score_thr):
        raise ValueError(f'Expected a finite `score_thr`, but got {score_thr}')
    if not 0 < min_cover <= 1:
        raise ValueError(f'Expected `min_cover` in (0, 1], but got {min_cover}')
    if not 0 < min_area_ratio < np.inf:
        raise ValueError(f'Expected `min_area_ratio` > 0, but got {min_area_ratio}')
    if containers not in _CONTAINERS:
        raise ValueError(f'Expected `containers` in {_CONTAINERS}, but got {containers!r}')
