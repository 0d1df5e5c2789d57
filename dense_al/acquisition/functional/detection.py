"""Scores of boxes and of images made of boxes, as in the sandbox of Riedlinger et al. 2023."""

import numpy as np
from numpy.typing import NDArray

from dense_al.acquisition.functional.k_center import farthest_first
from dense_al.acquisition.functional.uncertainty import entropy
from dense_al.groups import region_max, region_mean, region_sum

_TINY = 1e-12


def renormalised(probs: NDArray[np.floating]) -> NDArray[np.float64]:
    """Class probabilities that sum to 1, without the background.

    Args:
        probs: (..., C) of any head, in [0, 1].

    Returns:
        (..., C) float64; uniform where all are 0.

    >>> renormalised(np.array([0.2, 0.6])).round(2).tolist()
    [0.25, 0.75]
    """
    probs = np.asarray(probs, np.float64)
    total = probs.sum(axis=-1, keepdims=True)
    return np.where(total > 0, probs / np.maximum(total, _TINY), 1 / probs.shape[-1])


def squared_margin(probs: NDArray[np.floating]) -> NDArray[np.float64]:
    """(1 - (p1 - p2))^2 of the two most probable classes.

    Args:
        probs: (..., C) that sum to 1, C >= 2.

    >>> squared_margin(np.array([0.75, 0.25])).item()
    0.25
    """
    top = np.sort(np.asarray(probs, np.float64), axis=-1)[..., -2:]
    return (1 - (top[..., 1] - top[..., 0])) ** 2


def mutual_information(passes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Entropy of the mean minus mean entropy (BALD; Houlsby et al. 2011).

    Args:
        passes: (M, ..., C) probabilities of M stochastic passes that sum to 1 over C.

    Returns:
        (...) float64 in nats, >= 0.

    >>> mutual_information(np.array([[[1.0, 0.0]], [[0.0, 1.0]]])).round(4).tolist()
    [0.6931]
    """
    passes = np.asarray(passes, np.float64)
    return np.maximum(entropy(passes.mean(axis=0)) - entropy(passes).mean(axis=0), 0)


def released_mutual_information(passes: NDArray[np.floating]) -> NDArray[np.float64]:
    """What the released sandbox computes for mutual information.

    It takes the entropies of the passes before renormalisation and divides them by C, while the
    entropy of the mean is of renormalised probabilities and whole; the distance of both counts.

    Args:
        passes: (M, ..., C) probabilities of M stochastic passes, not renormalised.

    Returns:
        (...) float64, >= 0.

    >>> released_mutual_information(np.array([[[0.8, 0.2]], [[0.4, 0.1]]])).round(4).tolist()
    [0.2261]
    """
    passes = np.asarray(passes, np.float64)
    single = entropy(passes).mean(axis=0) / passes.shape[-1]
    return np.abs(entropy(renormalised(passes.mean(axis=0))) - single)


def deviations(
    passes: NDArray[np.floating], box_passes: NDArray[np.floating], ddof: int = 0
) -> NDArray[np.float64]:
    """How far stochastic passes spread, per box and quantity.

    Args:
        passes: (M, K, C) probabilities.
        box_passes: (M, K, 4) boxes in pixels.
        ddof: Deviations are divided by M - ddof, of which the released sandbox takes 1.

    Returns:
        (K, 4 + C + 1) float64: standard deviations of the box's sides, of each class and of the
        best class's probability.
    """
    passes = np.asarray(passes, np.float64)
    parts = [np.asarray(box_passes, np.float64), passes, passes.max(axis=-1, keepdims=True)]
    return np.concatenate([p.std(axis=0, ddof=ddof) for p in parts], axis=-1)


def largest_deviation(spread: NDArray[np.floating]) -> NDArray[np.float64]:
    """The largest standardised deviation of each box (MC dropout).

    Args:
        spread: (N, D) deviations of all boxes of the pool.

    Returns:
        (N,) float64: each column is standardised over the boxes, then the largest counts.

    >>> largest_deviation(np.array([[0.0, 1.0], [2.0, 1.0]])).tolist()
    [0.0, 1.0]
    """
    spread = np.asarray(spread, np.float64)
    if len(spread) == 0:
        return np.zeros(0)
    scale = spread.std(axis=0)
    return ((spread - spread.mean(axis=0)) / np.where(scale > 0, scale, 1)).max(axis=1)


def released_largest_deviation(
    spread: NDArray[np.floating], means: NDArray[np.floating]
) -> NDArray[np.float64]:
    """What the released sandbox computes for MC dropout.

    Where a class's deviation belongs it puts the class's mean probability, and standardises that
    by mean and deviation of the deviations. (It does so anchor by anchor over the images, proposals
    being matched by their rank; here it is over all boxes.)

    Args:
        spread: (N, 4 + C + 1) deviations of all boxes of the pool, of `deviations` with `ddof=1`.
        means: (N, C) mean probabilities of the classes.

    Returns:
        (N,) float64.
    """
    spread, means = np.asarray(spread, np.float64), np.asarray(means, np.float64)
    if len(spread) < 2:
        return np.zeros(len(spread))
    values = np.concatenate([spread[:, :4], means, spread[:, -1:]], axis=1)
    scale = spread.std(axis=0, ddof=1) + 1e-9
    return ((values - spread.mean(axis=0)) / scale).max(axis=1)


def most_alike_greedy(
    features: NDArray[np.floating], labelled: NDArray[np.bool_], n: int
) -> NDArray[np.int64]:
    """What the released sandbox picks as a core-set by "cosine distance", which is a similarity.

    Args:
        features: (N, D) rows, none of them zeros.
        labelled: (N,) bool, at least one True.
        n: Rows to pick, at most those not labelled.

    Returns:
        (n,) int64 in the order of picking: always the row whose least cosine similarity to what is
        labelled or picked is largest; the lowest of equal ones.

    Raises:
        ValueError: A row of zeros, or nothing labelled.

    >>> x = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> most_alike_greedy(x, np.array([True, False, False]), 2).tolist()
    [1, 2]
    """
    rows = np.asarray(features, np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if (norms == 0).any() or not np.any(labelled):
        raise ValueError(
            f'Expected rows that are not zero and one that is labelled, but got '
            f'{int((norms == 0).sum())} rows of zeros and {int(np.sum(labelled))} labelled'
        )
    rows = rows / norms
    least = (rows @ rows[labelled].T).min(axis=1)
    rank = np.arange(len(rows))
    return farthest_first(least, labelled, n, rank, lambda row: rows @ rows[row])


def over_boxes(
    values: NDArray[np.floating], owner: NDArray[np.integer], n: int, how: str
) -> NDArray[np.float64]:
    """Scores of images from scores of their boxes.

    Args:
        values: (K,) scores of boxes.
        owner: (K,) image of each box, in [0, n).
        n: Images.
        how: `sum`, `mean` or `max`.

    Returns:
        (n,) float64; 0 for an image without boxes.

    >>> over_boxes(np.array([1.0, 3.0]), np.array([1, 1]), 2, 'mean').tolist()
    [0.0, 2.0]
    """
    return {'sum': region_sum, 'mean': region_mean, 'max': region_max}[how](values, owner, n)
