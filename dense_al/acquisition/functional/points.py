"""Where in an instance the mask is least certain: the point to ask about next.

Li et al., APIS: Active Pointly-Supervised Instance Segmentation, ECCV 2022.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.uncertainty import entropy

POINT_METRICS = ('entropy', 'variance', 'mutual_information')


def binary_entropy(probs: ArrayLike) -> NDArray[np.float64]:
    """Entropy of a yes/no distribution, elementwise.

    Args:
        probs: Any shape, probability of one of the two outcomes, in [0, 1].

    Returns:
        float64 of the same shape, in nats: 0 where certain, ln 2 at 0.5.

    >>> binary_entropy([0.0, 0.5]).round(4).tolist()
    [0.0, 0.6931]
    """
    p = np.asarray(probs, dtype=np.float64)
    return entropy(np.stack([p, 1 - p]), axis=0)


def point_of_max_entropy(
    mask_probs: ArrayLike,
    boxes: ArrayLike,
    *,
    exclude: Sequence[ArrayLike] | NDArray[np.bool_] | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The pixel of highest binary entropy inside each instance's box.

    A box is floored to whole pixels and covers [x0, x1) x [y0, y1), clipped to the image; where
    that is empty it covers the one pixel at its corner, so a point always lies on the object.

    Args:
        mask_probs: (I, H, W) float in [0, 1], foreground probability of each instance at the
            original resolution.
        boxes: (I, 4) float, x0, y0, x1, y1 in pixels of the same resolution.
        exclude: Pixels not to ask again: (I, H, W) bool, or one (n_i, 2) int array of y, x for each
            instance.
        rng: Draws among equal maxima; without it the first in raster order is taken.

    Returns:
        (I, 2) int64 points y, x and their (I,) float64 entropy in nats, in [0, ln 2]. Where every
        pixel is excluded: the point (-1, -1) with value 0.

    Raises:
        ValueError: Wrong shapes, probabilities outside [0, 1], or non-finite boxes.

    References:
        Li et al., APIS: Active Pointly-Supervised Instance Segmentation, ECCV 2022.

    >>> probs = [[[0.5, 0.9, 0.1], [0.2, 0.4, 0.9]]]
    >>> points, value = point_of_max_entropy(probs, [[0, 1, 3, 2]])
    >>> points.tolist(), value.round(3).tolist()
    ([[1, 1]], [0.673])
    >>> point_of_max_entropy(probs, [[0, 1, 3, 2]], exclude=[[[1, 1]]])[0].tolist()
    [[1, 0]]
    """
    probs, boxes = _checked(mask_probs, boxes)
    n, height, width = probs.shape
    _check_exclude(exclude, probs.shape)
    limits = pixel_boxes(boxes, height, width)
    points = np.full((n, 2), -1, dtype=np.int64)
    value = np.zeros(n)
    for i, (x0, y0, x1, y1) in enumerate(limits):
        score = binary_entropy(probs[i, y0:y1, x0:x1])
        if exclude is not None:
            score[_excluded(exclude[i], x0, y0, x1, y1)] = -1
        best = score.max()
        if best < 0:
            continue
        ties = np.flatnonzero(score == best)
        pick = ties[0] if rng is None else rng.choice(ties)
        points[i] = y0 + pick // (x1 - x0), x0 + pick % (x1 - x0)
        value[i] = best
    return points, value


def mask_uncertainty(probs: ArrayLike, metric: str = 'entropy') -> NDArray[np.float64]:
    """How unsure several predictions of one mask are, pixel by pixel.

    Args:
        probs: (V, h, w) float in [0, 1], foreground probabilities of V >= 1 predictions.
        metric: `entropy` of their mean (with one prediction the margin has the same order), their
            `variance`, or `mutual_information`, the entropy of the mean less the mean entropy.

    Returns:
        (h, w) float64 >= 0; nats, except for the variance.

    Raises:
        ValueError: Another metric or shape.

    >>> mask_uncertainty([[[0.0, 0.5]], [[1.0, 0.5]]], 'mutual_information').round(3).tolist()
    [[0.693, 0.0]]
    """
    values = np.asarray(probs)
    if values.ndim != 3 or len(values) == 0:
        raise ValueError(f'Expected `probs` of shape (V, h, w), but got {values.shape}')
    if metric not in POINT_METRICS:
        raise ValueError(f'Expected `metric` of {POINT_METRICS}, but got {metric!r}')
    if metric == 'variance':
        return values.var(axis=0, dtype=np.float64)
    mean = binary_entropy(values.mean(axis=0, dtype=np.float64))
    if metric == 'entropy':
        return mean
    # Many logarithms: in single precision, three times as fast, and summed in double precision.
    p = np.clip(values.astype(np.float32, copy=False), 1e-7, 1 - 1e-7)
    own = -(p * np.log(p) + (1 - p) * np.log1p(-p)).mean(axis=0, dtype=np.float64)
    return np.maximum(mean - own, 0)


def peaks(
    score: NDArray,
    n: int,
    *,
    exclude: ArrayLike | None = None,
    min_distance: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The best pixels of a map that keep a distance from each other and from earlier ones.

    Args:
        score: (h, w) float, finite.
        n: How many at most.
        exclude: (m, 2) int y, x that are not taken again, inside the map or not.
        min_distance: Pixels nearer than this to one that is taken or excluded are left out.
        rng: Draws among equals, in the place of the first in raster order.

    Returns:
        (k, 2) int64 y, x and (k,) float64 scores, best first, k <= n.

    >>> peaks(np.array([[3.0, 2.0, 0.0, 1.0]]), 2, min_distance=2)[0].tolist()
    [[0, 0], [0, 3]]
    """
    left = np.array(score, np.float64)
    for y, x in np.asarray([] if exclude is None else exclude, np.int64).reshape(-1, 2):
        _clear(left, int(y), int(x), min_distance)
    points, values = [], []
    for _ in range(n if left.size else 0):
        best = int(left.argmax())
        if rng is not None:
            best = int(rng.choice(np.flatnonzero(left == left.flat[best])))
        y, x = divmod(best, left.shape[1])
        if left[y, x] == -np.inf:
            break
        points.append((y, x))
        values.append(left[y, x])
        _clear(left, y, x, min_distance)
    return np.array(points, np.int64).reshape(-1, 2), np.array(values, np.float64)


def random_points(
    boxes: ArrayLike, size: tuple[int, int], n: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Pixels drawn uniformly from boxes; of equal streams, fewer are the first of more.

    Args:
        boxes: (N, 4) float, x0, y0, x1, y1 in pixels.
        size: Height and width of the image.
        n: How many for each box.
        rng: Source of randomness.

    Returns:
        (N, n, 2) int64 y, x.

    >>> rng = np.random.default_rng(0)
    >>> random_points([[4, 2, 5, 3]], (8, 8), 2, rng).tolist()
    [[[2, 4], [2, 4]]]
    """
    limits = pixel_boxes(boxes, *size)
    draws = rng.random((n, len(limits), 2)).transpose(1, 0, 2)
    low, span = limits[:, None, [1, 0]], (limits[:, 2:] - limits[:, :2])[:, None, ::-1]
    return low + np.floor(draws * span).astype(np.int64)


def pixel_boxes(boxes: ArrayLike, height: int, width: int) -> NDArray[np.int64]:
    """Floored x0, y0, x1, y1 (exclusive end), inside the image, at least one pixel each.

    Where points are looked for, as published: a pixel that a box only begins to cover on its right
    or lower side is left out. Answers of people are taken from all pixels that a box touches.

    Args:
        boxes: (N, 4) float, x0, y0, x1, y1 in pixels.
        height: Of the image.
        width: Of the image.

    Returns:
        (N, 4) int64.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    size = np.array([width, height])
    whole = np.floor(boxes)
    low = np.clip(whole[:, :2], 0, size - 1)
    high = np.maximum(np.clip(whole[:, 2:], 0, size), low + 1)
    return np.concatenate([low, high], axis=1).astype(np.int64)


def _clear(left: NDArray, y: int, x: int, distance: float) -> None:
    """Takes out a pixel and all nearer than a distance (in place)."""
    reach = max(int(np.ceil(distance)) - 1, 0)
    top, start = max(y - reach, 0), max(x - reach, 0)
    near = left[top : max(y + reach + 1, 0), start : max(x + reach + 1, 0)]
    rows, columns = np.ogrid[top : top + near.shape[0], start : start + near.shape[1]]
    near[(rows - y) ** 2 + (columns - x) ** 2 < max(distance, 0.5) ** 2] = -np.inf


def _excluded(exclude: ArrayLike, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.bool_]:
    """(y1 - y0, x1 - x0) mask of the excluded pixels inside a box."""
    points = np.asarray(exclude)
    if points.dtype == bool:
        return points[y0:y1, x0:x1]
    y, x = points.reshape(-1, 2).astype(np.int64).T
    inside = (y >= y0) & (y < y1) & (x >= x0) & (x < x1)
    mask = np.zeros((y1 - y0, x1 - x0), dtype=bool)
    mask[y[inside] - y0, x[inside] - x0] = True
    return mask


def _checked(mask_probs: ArrayLike, boxes: ArrayLike) -> tuple[NDArray, NDArray]:
    probs = np.asarray(mask_probs)
    if probs.ndim != 3 or (len(probs) and probs[0].size == 0):
        raise ValueError(f'Expected `mask_probs` of shape (I, H, W), but got {probs.shape}')
    box = np.asarray(boxes, dtype=np.float64)
    if box.size == 0:
        box = box.reshape(0, 4)
    if box.shape != (len(probs), 4):
        raise ValueError(f'Expected `boxes` of shape ({len(probs)}, 4), but got {box.shape}')
    if not np.isfinite(box).all():
        raise ValueError('Expected finite `boxes`, but got NaN or infinity')
    if probs.size and not (probs.min() >= 0 and probs.max() <= 1):
        raise ValueError(f'Expected `mask_probs` in [0, 1], but got [{probs.min()}, {probs.max()}]')
    return probs, box


def _check_exclude(
    exclude: Sequence[ArrayLike] | NDArray[np.bool_] | None, shape: tuple[int, ...]
) -> None:
    if exclude is None:
        return
    if isinstance(exclude, np.ndarray) and exclude.dtype == bool:
        if exclude.shape != shape:
            raise ValueError(f'Expected `exclude` of shape {shape}, but got {exclude.shape}')
        return
    if len(exclude) != shape[0]:
        raise ValueError(f'Expected `exclude` of {shape[0]} arrays, but got {len(exclude)}')
    for points in exclude:
        got = np.asarray(points).shape
        if got != (0,) and (len(got) != 2 or got[1] != 2):
            raise ValueError(f'Expected each of `exclude` of shape (n, 2), but got {got}')
