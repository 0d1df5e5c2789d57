"""Object detection with mmdet."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy as np
from mmdet.evaluation.functional import mean_ap
from mmengine.config import Config
from torch.utils.data import DataLoader, Dataset

import dense_al.datasets.level_sampler  # registers
import dense_al.models.vgg  # registers
import dense_al.models.weak_roi_head  # noqa: F401  registers
from dense_al.adapters import surgery
from dense_al.adapters.framework import FrameworkTask
from dense_al.adapters.mmdet_predict import detections
from dense_al.adapters.mmdet_readers import WeakReader, reader_of
from dense_al.adapters.task import Rounds, TrainJob, TrainResult
from dense_al.datasets.detection import PoolDetDataset
from dense_al.pool import BoxStore, Ledger, TagStore
from dense_al.registry import ConfigError, nearest
from dense_al.structures import Boxes, DetectionOptions, DetPrediction

# What mmdet's evaluators report.
COCO = tuple(f'mAP{part}' for part in ('', '_50', '_75', '_s', '_m', '_l'))
VOC = ('pascal_voc/mAP', 'pascal_voc/AP50')
KNOWN = ('tags', 'level')  # what a weakly supervised model must know of an image

# VOC's evaluation forks processes, which hang where this one has threads.
mean_ap.Pool = ThreadPool


class MMDetTask(FrameworkTask):
    """A stock mmdet 3.x config as a task of the loop; a label is all boxes of an image."""

    form = 'boxes'
    scope = 'mmdet'
    per_class = 'coco/{}_precision'
    least_classes = 1

    def __init__(self, cfg: Config, rounds: Rounds) -> None:
        check_metric(cfg['val_evaluator'], rounds.metric)
        super().__init__(cfg, rounds)
        head = cfg['model'].get('roi_head') or {}
        self.learns_tags = head.get('type') == 'WeakRoIHead'

    def _run(self, job: TrainJob, what: str) -> TrainResult:
        result = super()._run(job, what)
        if result.metrics:
            return result
        # mmdet reports nothing at all where a detector finds nothing at all.
        zeros = dict.fromkeys(self.classes, 0.0)
        return replace(result, metrics={self._rounds.metric: 0.0}, per_class=zeros)

    def _whole_pool(self, pool: dict[str, Any]) -> dict[str, Any]:
        # Filters look at annotations: the pool must not shrink by what is not labelled yet.
        return {**super()._whole_pool(pool), 'filter_cfg': None, 'test_mode': True}

    def read_label(self, sample: int) -> Boxes:
        """The boxes of the data set without those to be ignored (crowds, difficult ones).

        Raises:
            ValueError: A class out of range, or a box outside the image.
        """
        objects = [o for o in self._records[sample]['instances'] if not o.get('ignore_flag')]
        name = self.manifest.names[sample]
        boxes = np.array([o['bbox'] for o in objects], np.float32).reshape(-1, 4)
        labels = np.array([o['bbox_label'] for o in objects], np.int64)
        if ((labels < 0) | (labels >= len(self.classes))).any():
            raise ValueError(
                f'Expected classes 0 to {len(self.classes) - 1} in {name}, '
                f'but got {labels.tolist()}'
            )
        height, width = self.manifest.size(sample)
        limit = np.array([width, height, width, height]) + 1
        if (boxes < -1).any() or (boxes > limit).any():
            raise ValueError(
                f'Expected boxes inside {name} ({width} x {height}), but got {boxes.tolist()}'
            )
        return Boxes(boxes, labels)

    def _check_needs(self, model: Any, needs: frozenset[str]) -> None:
        known = {'boxes', 'image_features', 'box_features', 'weak_loss'}
        if needs - known:
            raise ConfigError(
                f'Expected an acquisition for detectors, but this one needs {sorted(needs)}'
            )
        if not needs:
            return
        reader = reader_of(model)
        if 'weak_loss' in needs and not isinstance(reader, WeakReader):
            raise ConfigError(
                'Expected a model that learns from tags (`model.roi_head` of type WeakRoIHead), as '
                'the acquisition needs its loss on them, but got one that does not'
            )

    def _predictions(
        self, model: Any, loader: DataLoader, needs: frozenset[str], options: Any
    ) -> Iterator[DetPrediction]:
        for batch in loader:
            yield from detections(model, batch, options or DetectionOptions(), needs)

    def _prepare(self, cfg: Any) -> None:
        evaluator = cfg['val_evaluator']
        for metric in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
            if metric.get('type') in ('CocoMetric', 'mmdet.CocoMetric'):
                metric['classwise'] = True  # results of classes, for the report

    def _answered(self, job: TrainJob) -> PoolDetDataset:
        answers = BoxStore(job.ledger.in_force(job.round_number))
        samples = answers.samples
        filters = surgery.pool_datasets(self._cfg)[0].get('filter_cfg') or {}
        if filters.get('filter_empty_gt', False):
            samples = [s for s in samples if len(answers.boxes(s))]
        tags = TagStore(job.ledger.in_force(job.round_number))
        if self.learns_tags:
            samples = sorted({*samples, *(s for s in tags.samples if not answers.holds(s))})
        if not samples:
            raise ConfigError('Expected at least one image with objects to train on, but got none')
        pipeline = surgery.packed(self._pipeline, KNOWN)
        return PoolDetDataset(
            self._records,
            samples,
            answers,
            tags,
            self._metainfo,
            pipeline,
            least_side=filters.get('bbox_min_size') or 0,
        )

    def _sampler(self, loader: dict[str, Any]) -> dict[str, Any]:
        given = loader.get('sampler') or {}
        return given if given.get('type') == 'LevelSampler' else super()._sampler(loader)

    def _images(self, samples: Sequence[int], pipeline: Sequence[Any], ledger: Ledger) -> Dataset:
        tags = TagStore(ledger.in_force())
        pipeline = surgery.packed(pipeline, KNOWN)
        return PoolDetDataset(self._records, samples, None, tags, self._metainfo, pipeline)


def check_metric(evaluator: Any, metric: str) -> None:
    """Refuses a metric that the evaluator will not report, where that is known beforehand.

    Args:
        evaluator: `val_evaluator` of the config.
        metric: `rounds.metric`.
    """
    names: list[str] = []
    for node in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
        kinds = node.get('metric', 'bbox')
        if node.get('type') == 'CocoMetric' and not node.get('prefix'):
            kinds = [kinds] if isinstance(kinds, str) else kinds
            names += [f'coco/{kind}_{name}' for kind in kinds for name in COCO]
        elif node.get('type') == 'VOCMetric' and not node.get('prefix'):
            names += VOC
        else:
            return
    if metric not in names:
        raise ConfigError(f'Unknown `rounds.metric` {metric!r}. {nearest(metric, names)}')
