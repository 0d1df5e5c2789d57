"""Sums, means and maxima over regions, or over any other groups of rows.

A region is a set of pixels or points with the same id; -1 belongs to none.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def region_count(regions: ArrayLike, n_regions: int) -> NDArray[np.int64]:
    """Number of pixels or points of each region.

    Args:
        regions: (...) int in [-1, n_regions), -1 for none.
        n_regions: Number of regions R.

    Returns:
        (R,) int64 >= 0.

    Raises:
        ValueError: Ids out of range or not integers.

    References:
        Cai et al., Revisiting Superpixels for Active Learning in Semantic Segmentation, 2021.

    >>> region_count([[0, 0], [2, -1]], 3).tolist()
    [2, 0, 1]
    """
    ids = _checked_regions(regions, n_regions)
    return np.bincount(ids + 1, minlength=n_regions + 1)[1:]


def region_sum(values: ArrayLike, regions: ArrayLike, n_regions: int) -> NDArray[np.float64]:
    """Sum of values over each region.

    Args:
        values: (..., *T) number, the shape of `regions` and any trailing axes T.
        regions: (...) int in [-1, n_regions), -1 for none.
        n_regions: Number of regions R.

    Returns:
        (R, *T) float64 in units of the values; 0 for an empty region.

    Raises:
        ValueError: Shapes that do not fit, ids out of range, or a non-finite value in a region.

    References:
        Cai et al., Revisiting Superpixels for Active Learning in Semantic Segmentation, 2021.

    >>> region_sum([1.0, 2.0, 4.0], [0, 0, 1], 2).tolist()
    [3.0, 4.0]
    """
    ids = _checked_regions(regions, n_regions)
    values, trailing = _checked_values(values, regions)
    out = np.empty((n_regions, values.shape[1]))
    ids = ids + 1
    for column in range(values.shape[1]):
        out[:, column] = np.bincount(ids, values[:, column], n_regions + 1)[1:]
    return _finite(out).reshape(n_regions, *trailing)


def region_mean(values: ArrayLike, regions: ArrayLike, n_regions: int) -> NDArray[np.float64]:
    """Mean of values over each region.

    Args:
        values: (..., *T) number, the shape of `regions` and any trailing axes T.
        regions: (...) int in [-1, n_regions), -1 for none.
        n_regions: Number of regions R.

    Returns:
        (R, *T) float64 in units of the values; 0 for an empty region (`region_count` tells).

    Raises:
        ValueError: Shapes that do not fit, ids out of range, or a non-finite value in a region.

    References:
        Cai et al., Revisiting Superpixels for Active Learning in Semantic Segmentation, 2021.

    >>> region_mean([[1.0, 3.0], [5.0, 7.0]], [[0, 0], [2, -1]], 3).tolist()
    [2.0, 0.0, 5.0]
    """
    total = region_sum(values, regions, n_regions)
    count = np.maximum(region_count(regions, n_regions), 1)
    return total / count.reshape(-1, *[1] * (total.ndim - 1))


def region_max(values: ArrayLike, regions: ArrayLike, n_regions: int) -> NDArray[np.float64]:
    """Largest value of each region.

    Args:
        values: (..., *T) number, the shape of `regions` and any trailing axes T.
        regions: (...) int in [-1, n_regions), -1 for none.
        n_regions: Number of regions R.

    Returns:
        (R, *T) float64 in units of the values; 0 for an empty region (`region_count` tells).

    Raises:
        ValueError: Shapes that do not fit, ids out of range, or a non-finite value in a region.

    References:
        Cai et al., Revisiting Superpixels for Active Learning in Semantic Segmentation, 2021.

    >>> region_max([1.0, 2.0, -4.0], [0, 0, 2], 3).tolist()
    [2.0, 0.0, -4.0]
    """
    ids = _checked_regions(regions, n_regions)
    values, trailing = _checked_values(values, regions)
    out = np.empty((n_regions, values.shape[1]))
    largest = np.empty(n_regions + 1)
    for column in range(values.shape[1]):
        largest[:] = -np.inf
        with np.errstate(invalid='ignore'):
            np.maximum.at(largest, ids, values[:, column].astype(np.float64))
        out[:, column] = largest[:-1]
    out[region_count(regions, n_regions) == 0] = 0
    return _finite(out).reshape(n_regions, *trailing)


def region_topk_mean(
    values: ArrayLike, regions: ArrayLike, n_regions: int, k: int
) -> NDArray[np.float64]:
    """Mean of the `k` largest values of each region, of all where it has fewer.

    Args:
        values: (...) number, the shape of `regions`.
        regions: (...) int in [-1, n_regions), -1 for none.
        n_regions: Number of regions R.
        k: Values per region, at least 1.

    Returns:
        (R,) float64 in units of the values; 0 for an empty region (`region_count` tells).

    Raises:
        ValueError: Shapes that do not fit, ids out of range, `k` below 1, or a non-finite value
            among those taken.

    References:
        Cai et al., Revisiting Superpixels for Active Learning in Semantic Segmentation, 2021.

    >>> region_topk_mean([1.0, 2.0, 4.0, 7.0], [0, 0, 0, 1], 2, 2).tolist()
    [3.0, 7.0]
    """
    if k < 1:
        raise ValueError(f'Expected `k` to be at least 1, but got {k}')
    ids = _checked_regions(regions, n_regions) + 1
    flat = _checked_values(values, regions)[0]
    if flat.shape[1] != 1:
        raise ValueError(
            f'Expected `values` of shape {np.shape(regions)}, but got {np.shape(values)}'
        )
    order = np.argsort(flat[:, 0])
    # A stable sort of short integers is a radix sort.
    short = ids.astype(np.uint16) if n_regions < 1 << 16 else ids
    order = order[np.argsort(short[order], kind='stable')]
    ids, count = ids[order], np.bincount(ids, minlength=n_regions + 1)
    from_top = np.cumsum(count)[ids] - np.arange(len(ids))
    taken = from_top <= k
    total = np.bincount(ids[taken], flat[order[taken], 0], n_regions + 1)[1:]
    return _finite(total / np.clip(count[1:], 1, k))


def _checked_regions(regions: ArrayLike, n_regions: int) -> np.ndarray:
    ids = np.asarray(regions).reshape(-1)
    if ids.size and ids.dtype.kind not in 'iu':
        raise ValueError(f'Expected `regions` to be integers, but got {ids.dtype}')
    ids = ids.astype(np.int64, copy=False)
    if ids.size and not (-1 <= ids.min() and ids.max() < n_regions):
        raise ValueError(
            f'Expected `regions` in [-1, {n_regions}), but got {ids.min()} to {ids.max()}'
        )
    return ids


def _checked_values(values: ArrayLike, regions: ArrayLike) -> tuple[np.ndarray, tuple[int, ...]]:
    """The values as (pixels, columns), and the trailing axes."""
    array, shape = np.asarray(values), np.shape(regions)
    if array.shape[: len(shape)] != shape:
        raise ValueError(f'Expected `values` of shape {shape} + (...), but got {array.shape}')
    trailing = array.shape[len(shape) :]
    return array.reshape(int(np.prod(shape)), int(np.prod(trailing))), trailing


def _finite(totals: np.ndarray) -> np.ndarray:
    if not np.isfinite(totals).all():
        bad = np.flatnonzero(~np.isfinite(totals.reshape(len(totals), -1)).all(axis=1))
        raise ValueError(f'Expected finite `values`, but got others in regions {bad[:5].tolist()}')
    return totals
