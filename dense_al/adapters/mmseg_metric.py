"""Results per class, for the report."""

from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from dense_al.structures import IGNORE


@METRICS.register_module()
class PerClassIoU(BaseMetric):
    """Intersection over union of each class, in percent; NaN for a class that never occurs."""

    default_prefix = 'class'

    def process(self, data_batch: Any, data_samples: Any) -> None:
        """Adds the confusion of one batch."""
        n = len(self.dataset_meta['classes'])
        for sample in data_samples:
            predicted = sample['pred_sem_seg']['data'].squeeze().cpu().numpy().ravel()
            truth = sample['gt_sem_seg']['data'].squeeze().cpu().numpy().ravel()
            known = truth != IGNORE
            joint = truth[known].astype(np.int64) * n + predicted[known].astype(np.int64)
            self.results.append(np.bincount(joint, minlength=n * n).reshape(n, n))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Class name -> IoU in percent."""
        confusion = np.sum(results, axis=0)
        hit = confusion.diagonal()
        union = confusion.sum(0) + confusion.sum(1) - hit
        iou = np.where(union > 0, 100 * hit / np.maximum(union, 1), np.nan)
        return {str(c): float(v) for c, v in zip(self.dataset_meta['classes'], iou)}
