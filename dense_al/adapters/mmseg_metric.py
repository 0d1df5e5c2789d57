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
        """Adds what is hit, predicted and there of each class in one batch."""
        n = len(self.dataset_meta['classes'])
        for sample in data_samples:
            predicted = sample['pred_sem_seg']['data'].squeeze().cpu().numpy().ravel()
            truth = sample['gt_sem_seg']['data'].squeeze().cpu().numpy().ravel()
            known = truth != IGNORE
            predicted, truth = predicted[known], truth[known]
            parts = (truth[truth == predicted], predicted, truth)
            self.results.append(np.stack([np.bincount(p, minlength=n) for p in parts]))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Class name -> IoU in percent."""
        hit, predicted, there = np.sum(results, axis=0)
        union = predicted + there - hit
        iou = np.where(union > 0, 100 * hit / np.maximum(union, 1), np.nan)
        return {str(c): float(v) for c, v in zip(self.dataset_meta['classes'], iou)}
