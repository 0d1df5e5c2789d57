"""Small scores of region- and pixel-based methods: AADA, BvSB-CB, EquAL, PixelPick."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.k_center import checked_mask
from dense_al.acquisition.functional.uncertainty import check_probabilities, entropy


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


def flip_entropy(probs: Any, flipped: Any) -> Any:
    """Entropy of a prediction plus that of the mirrored image's prediction, mirrored back.

    Args:
        probs: (C, H, W) float array or tensor, probabilities.
        flipped: (C, H, W) of the horizontally mirrored image, still mirrored.

    Returns:
        (H, W) in nats, in [0, 2 ln C], in the pixels of `probs`; type and device as `entropy`.

    Raises:
        ValueError: Shapes that differ or are not (C, H, W), or entries that are not probabilities.

    References:
        Golestaneh and Kitani, Importance of Self-Consistency in Active Learning for Semantic
        Segmentation, 2020 (EquAL).

    >>> p = np.array([[[0.5, 1.0]], [[0.5, 0.0]]])
    >>> flip_entropy(p, p[..., ::-1]).round(4).tolist()
    [[1.3863, 0.0]]
    """
    if len(probs.shape) != 3 or tuple(probs.shape) != tuple(flipped.shape):
        raise ValueError(
            'Expected `probs` and `flipped` of one shape (C, H, W), '
            f'but got {tuple(probs.shape)} and {tuple(flipped.shape)}'
        )
    other = entropy(flipped, axis=0)
    back = other.flip(-1) if isinstance(other, torch.Tensor) else other[:, ::-1]
    return entropy(probs, axis=0) + back


def random_among_top(
    score: ArrayLike,
    n: int,
    *,
    share: float = 0.05,
    labelled: ArrayLike | None = None,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw rows uniformly from those with the best scores, as PixelPick draws pixels.

    Args:
        score: (N,) finite float, higher = better.
        n: Rows to draw, in [0, number of rows not labelled].
        share: Of the rows not labelled, best first, that are drawn from, in (0, 1], rounded up; at
            least `n` rows.
        labelled: (N,) bool, rows never drawn. Default: none.
        rng: Source of the draws; also decides which of equal scores are among the best.

    Returns:
        (n,) int64 different rows in the order of drawing.

    Raises:
        ValueError: Wrong shapes, non-finite scores, or `n` or `share` out of range.

    References:
        Shin et al., All You Need Are a Few Pixels: Semantic Segmentation with PixelPick, 2021.

    >>> sorted(random_among_top(range(100), 2, share=0.02, rng=np.random.default_rng(0)).tolist())
    [98, 99]
    """
    values = np.asarray(score, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f'Expected `score` to be (N,) and finite, but got shape {values.shape}')
    if not 0 < share <= 1:
        raise ValueError(f'Expected `share` in (0, 1], but got {share}')
    mask = np.zeros(len(values), bool) if labelled is None else labelled
    mask = checked_mask(mask, len(values), n)
    rows = rng.permutation(np.flatnonzero(~mask))
    # A billionth of slack: 0.07 of 100 rows are 7.
    among = max(n, int(np.ceil(share * len(rows) * (1 - 1e-9))))
    best = rows[np.argsort(-values[rows], kind='stable')[:among]]
    return rng.permutation(best)[:n]
