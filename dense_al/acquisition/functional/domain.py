"""Small scores of region- and pixel-based methods: AADA, BvSB-CB; how many are drawn from."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.uncertainty import check_probabilities


def aada_score(
    domain_prob: ArrayLike, uncertainty: ArrayLike, *, max_ratio: float = 1e6
) -> NDArray[np.float64]:
    """Uncertainty times how much more likely a row is of the target domain than of the source.

    Args:
        domain_prob: (...) float in [0, 1], a discriminator's probability of the target domain.
        uncertainty: (...) float >= 0, such as the entropy of the classes in nats.
        max_ratio: Largest `D / (1 - D)` that counts, > 0: a probability of exactly 1 is rounding.

    Returns:
        (...) float64 `D / (1 - D) * H`, finite, >= 0.

    Raises:
        ValueError: Shapes that differ, values out of range, or a `max_ratio` that is not positive.

    References:
        Su et al., Active Adversarial Domain Adaptation, 2020.

    >>> aada_score([0.5, 0.75, 1.0], [0.5, 0.5, 0.0]).tolist()
    [0.5, 1.5, 0.0]
    """
    domain, unsure = np.asarray(domain_prob, np.float64), np.asarray(uncertainty, np.float64)
    if domain.shape != unsure.shape:
        raise ValueError(f'Expected `uncertainty` of shape {domain.shape}, but got {unsure.shape}')
    # NaN fails the comparisons too.
    if domain.size and not (domain.min() >= 0 and domain.max() <= 1):
        raise ValueError(
            'Expected `domain_prob` in [0, 1], '
            f'but got values from {domain.min():g} to {domain.max():g}'
        )
    if unsure.size and not (unsure.min() >= 0 and unsure.max() < np.inf):
        raise ValueError(
            'Expected `uncertainty` to be finite and at least 0, '
            f'but got values from {unsure.min():g} to {unsure.max():g}'
        )
    if not 0 < max_ratio < np.inf:
        raise ValueError(f'Expected a finite `max_ratio` > 0, but got {max_ratio}')
    ratio = np.full(domain.shape, float(max_ratio))
    np.divide(domain, 1 - domain, out=ratio, where=domain < 1)
    return np.minimum(ratio, max_ratio) * unsure


def best_versus_second_best(probs: Any, axis: int = -1) -> Any:
    """Second-largest probability over the largest.

    Args:
        probs: (..., C, ...) float array or tensor, in [0, 1], summing to 1 along `axis`, C >= 2.
        axis: The axis of the classes.

    Returns:
        The shape of `probs` without `axis`, in [0, 1]; array for array, tensor for tensor (same
        device). float32 for float16 and float32 input, else float64.

    Raises:
        ValueError: Fewer than two classes, or entries that are not probabilities.

    References:
        Joshi et al., Multi-Class Active Learning for Image Classification, 2009; Cai et al.,
        Revisiting Superpixels for Active Learning in Semantic Segmentation, 2021.

    >>> best_versus_second_best(np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])).tolist()
    [0.5, 0.0]
    """
    given = probs
    if not isinstance(probs, torch.Tensor):
        given = torch.from_numpy(np.require(probs, requirements=['C', 'W']))
    if given.ndim == 0 or given.shape[axis] < 2:
        raise ValueError(f'Expected at least 2 classes, but got shape {tuple(given.shape)}')
    given = given.to(torch.float64 if given.dtype == torch.float64 else torch.float32)
    if given.numel():
        check_probabilities(torch.stack(torch.aminmax(given.detach())).cpu().numpy())
    first, second = given.topk(2, dim=axis).values.unbind(axis)
    out = torch.where(first > 0, second / first, 1.0)
    return out if isinstance(probs, torch.Tensor) else out.numpy()


def class_weights(counts: ArrayLike) -> NDArray[np.float64]:
    """(n + C) / (n_c + 1): classes that are rare among the n labelled units count more.

    Args:
        counts: (C,) labelled units or objects of each class.

    References: Riedlinger et al. 2023.

    >>> class_weights([3, 0]).tolist()
    [1.25, 5.0]
    """
    counts = np.asarray(counts, np.float64)
    return (counts.sum() + len(counts)) / (counts + 1)


def class_balanced_score(
    score: ArrayLike, category: ArrayLike, n_classes: int
) -> NDArray[np.float64]:
    """Scores scaled to [0, 1], times `exp(-share)` of the predicted class among the rows.

    Args:
        score: (N,) float, of each region; for BvSB-CB the mean of `best_versus_second_best`.
        category: (N,) int in [-1, n_classes), predicted class of each region; -1, unknown, counts
            as a class.
        n_classes: Number of classes.

    Returns:
        (N,) float64 in [0, 1]; where all scores are equal they count as 1, so that the classes
        still decide.

    Raises:
        ValueError: Shapes that differ, classes out of range, or non-finite scores.

    References:
        Cai et al., Revisiting Superpixels for Active Learning in Semantic Segmentation, 2021.

    >>> class_balanced_score([0.2, 0.6, 0.6], [0, 0, 1], 2).round(4).tolist()
    [0.0, 0.5134, 0.7165]
    """
    values, labels = np.asarray(score, np.float64), np.asarray(category)
    if values.ndim != 1 or labels.shape != values.shape:
        raise ValueError(
            f'Expected `score` and `category` (N,), but got {values.shape} and {labels.shape}'
        )
    if len(values) == 0:
        return np.zeros(0)
    if not np.isfinite(values).all():
        raise ValueError('Expected finite `score`, but got NaN or infinity')
    if labels.dtype.kind not in 'iu' or not (-1 <= labels.min() and labels.max() < n_classes):
        raise ValueError(
            f'Expected `category` to be integers in [-1, {n_classes}), '
            f'but got {labels.dtype} from {labels.min()} to {labels.max()}'
        )
    low, spread = values.min(), np.ptp(values)
    scaled = (values - low) / spread if spread > 0 else np.ones(len(values))
    codes = labels.astype(np.int64) + 1
    share = np.bincount(codes) / len(values)
    return scaled * np.exp(-share[codes])


def top_count(share: float, n: int, least: int = 0) -> int:
    """How many of `n` ranked rows are the best ones that are drawn from.

    Args:
        share: Of the rows, in (0, 1], rounded up.
        n: Number of rows.
        least: How many at least, as far as there are any.

    >>> top_count(0.07, 100), top_count(0.02, 100, 5), top_count(0.02, 3, 5)
    (7, 5, 3)
    """
    # A billionth of slack: 0.07 of 100 rows are 7.
    return min(max(least, math.ceil(share * n * (1 - 1e-9))), n)
