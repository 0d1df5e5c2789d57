"""mmseg data sets that show a trainer what was answered, and a predictor only images."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmseg.datasets.transforms import RandomCrop
from mmseg.registry import DATASETS, TRANSFORMS

from dense_al.datasets.images import through_pipeline
from dense_al.pool import AnswerStore
from dense_al.registry import type_name
from dense_al.structures import IGNORE


@DATASETS.register_module()
class PoolSegDataset(BaseDataset):
    """Images of the pool, with labels from answers or none at all; never ground truth.

    Args:
        records: One dict per sample of the pool, in the manifest's order, with `img_path`.
        samples: (S,) the samples to show, as indices into the manifest.
        answers: Where labels come from; None shows images only.
        metainfo: Class names and palette.
        pipeline: Transforms without any annotation loading.
    """

    def __init__(
        self,
        records: Sequence[dict[str, Any]],
        samples: Sequence[int],
        answers: AnswerStore | None,
        metainfo: dict[str, Any],
        pipeline: Sequence[Any],
    ) -> None:
        self._records, self._samples, self._answers = records, samples, answers
        super().__init__(metainfo=metainfo, pipeline=list(pipeline), serialize_data=False)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Records of the samples shown, stripped of everything that leads to labels."""
        return [{**self._records[s], 'sample': int(s), 'domain': 'target'} for s in self._samples]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The record of one sample with `gt_seg_map`, (H, W) uint8, where labels are shown."""
        info = super().get_data_info(idx)
        info.update(seg_fields=[], reduce_zero_label=False, label_map=None)
        if self._answers is not None:
            info['gt_seg_map'] = self._answers.dense_labels(info['sample'])
            info['seg_fields'] = ['gt_seg_map']
        return info

    def __getitem__(self, idx: int) -> Any:
        path = self._records[self._samples[idx]]['img_path']
        return through_pipeline(self.pipeline, lambda: self.get_data_info(idx), path)


@TRANSFORMS.register_module()
class AnsweredCrop(RandomCrop):
    """A random crop that holds at least one labelled pixel; else as mmseg's RandomCrop."""

    def crop_bbox(self, results: dict[str, Any]) -> tuple[int, int, int, int]:
        """(y1, y2, x1, x2) in pixels."""
        box = super().crop_bbox(results)
        if (self.crop(results['gt_seg_map'], box) != IGNORE).any():
            return box
        # The pipeline's generator is the worker's global one, which mmengine seeds.
        known = np.flatnonzero(results['gt_seg_map'] != IGNORE)
        if len(known) == 0:
            return box
        at = known[int(len(known) * _uniform())]
        starts = []
        for centre, size, crop in zip(
            np.unravel_index(at, results['gt_seg_map'].shape), results['img'].shape, self.crop_size
        ):
            low, high = max(0, centre - crop + 1), min(centre, max(0, size - crop))
            starts.append(low + int((high - low + 1) * _uniform()))
        y, x = starts
        return y, y + self.crop_size[0], x, x + self.crop_size[1]


def _uniform() -> float:
    """A number in [0, 1) from the generator that mmengine seeds in every data worker."""
    import torch

    return float(torch.rand(()))


def with_answered_crops(pipeline: Sequence[Any]) -> list[Any]:
    """A copy of a training pipeline whose random crops hold labelled pixels."""
    result = copy.deepcopy(list(pipeline))
    for step in result:
        if type_name(step) == 'RandomCrop':
            step['type'] = 'AnsweredCrop'
    return result
