"""How well the points of scans are classified."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from torch import Tensor

from dense_al.structures import IGNORE


@METRICS.register_module()
class ScanIoU(BaseMetric):
    """Intersection over union of each class over all points of all scans, in percent.

    It reports `mIoU`, `accuracy` (points whose class is right) and `IoU_<name>` of each class. A
    class that no point of the truth has is NaN and left out of the mean; points taken for it still
    count as missed by their own class.

    Args:
        classes: Names; by default those of the data set.
        collect_device: `cpu` or `gpu`, see mmengine.
        prefix: In front of the names of the results.
    """

    def __init__(
        self,
        classes: Sequence[str] | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self._classes = None if classes is None else tuple(classes)

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Adds the confusion of each scan, so that repeated ones can be dropped over ranks.

        Args:
            data_batch: Not read.
            data_samples: Dicts with `probs` (N, C) and `point_labels` (N,) in [0, C) or `IGNORE`.

        Raises:
            ValueError: Labels that do not fit, or more or fewer classes than there are names.
        """
        for sample in data_samples:
            probs, n = sample['probs'], len(self._names())
            if probs.ndim != 2 or probs.shape[1] != n:
                raise ValueError(f'Expected `probs` (N, {n}), but got {tuple(probs.shape)}')
            truth = torch.as_tensor(sample['point_labels'], device=probs.device)
            self.results.append(confusion(truth, probs.argmax(dim=1), n).cpu().numpy())

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Results in percent from the confusions of all scans."""
        names = self._names()
        total = np.zeros((len(names), len(names)), np.int64)
        for one in results:
            total += one
        iou = 100 * iou_of(total)
        hit, points = int(total.trace()), int(total.sum())
        return {
            'mIoU': float(iou[~np.isnan(iou)].mean()) if points else float('nan'),
            'accuracy': 100 * hit / points if points else float('nan'),
            **{f'IoU_{name}': float(value) for name, value in zip(names, iou)},
        }

    def _names(self) -> tuple[str, ...]:
        if self._classes is not None:
            return self._classes
        if not self.dataset_meta or 'classes' not in self.dataset_meta:
            raise ValueError('Expected `classes`, of the metric or of the data set, but got none')
        return tuple(self.dataset_meta['classes'])


def confusion(truth: Tensor, predicted: Tensor, n_classes: int) -> Tensor:
    """How many points of each class were taken for each.

    Args:
        truth: (N,) integers in [0, n_classes), or `IGNORE`, which is not counted.
        predicted: (N,) integers in [0, n_classes).
        n_classes: How many classes.

    Returns:
        (n_classes, n_classes) int64, rows the truth.

    Raises:
        ValueError: Shapes that do not fit, or a class out of the range.

    >>> confusion(torch.tensor([0, 1, 1, 255]), torch.tensor([0, 0, 1, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    if truth.ndim != 1 or truth.shape != predicted.shape:
        raise ValueError(
            'Expected `truth` and `predicted` of one shape (N,), '
            f'but got {tuple(truth.shape)} and {tuple(predicted.shape)}'
        )
    known = truth != IGNORE
    truth, predicted = truth[known].long(), predicted[known].long()
    for name, values in (('truth', truth), ('predicted', predicted)):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < n_classes:
            raise ValueError(
                f'Expected `{name}` in [0, {n_classes}) or {IGNORE}, but got '
                f'{int(values.min())} to {int(values.max())}'
            )
    joint = truth * n_classes + predicted
    return torch.bincount(joint, minlength=n_classes**2).reshape(n_classes, n_classes)


def iou_of(confusions: np.ndarray) -> np.ndarray:
    """Intersection over union of each class; NaN for one that the truth does not have.

    Args:
        confusions: (C, C) integers, rows the truth.

    Returns:
        (C,) float64 in [0, 1], or NaN.

    >>> iou_of(np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]])).tolist()
    [0.6, nan, 0.5]
    """
    hit, of_class = confusions.diagonal(), confusions.sum(axis=1)
    union = of_class + confusions.sum(axis=0) - hit
    return np.where(of_class > 0, hit / np.maximum(union, 1), np.nan)
