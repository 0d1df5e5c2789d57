"""Object detection with mmdet."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.evaluation.functional import mean_ap
from mmengine.config import Config
from torch.utils.data import DataLoader, Dataset

import dense_al.datasets.level_sampler  # registers
import dense_al.datasets.points  # registers
import dense_al.models.point_sup_condinst  # registers
import dense_al.models.point_sup_mask_head  # registers
import dense_al.models.vgg  # registers
import dense_al.models.weak_roi_head  # noqa: F401  registers
from dense_al.adapters import surgery
from dense_al.adapters.framework import FrameworkTask
from dense_al.adapters.mmdet_masks import mask_reader_of, object_maps
from dense_al.adapters.mmdet_predict import detections
from dense_al.adapters.mmdet_readers import WeakReader, reader_of
from dense_al.adapters.task import Rounds, TrainJob, TrainResult
from dense_al.datasets.coco_masks import mask_of
from dense_al.datasets.detection import PoolDetDataset
from dense_al.datasets.pipelines import with_masks, with_points
from dense_al.pool import BoxStore, InstanceStore, Ledger, TagStore
from dense_al.registry import ConfigError, nearest, type_name
from dense_al.structures import (
    Boxes,
    DetectionOptions,
    InstancePrediction,
    Instances,
    MaskOptions,
)

# What mmdet's evaluators report.
COCO = tuple(f'mAP{part}' for part in ('', '_50', '_75', '_s', '_m', '_l'))
COCO_KINDS = ('bbox', 'segm', 'proposal', 'proposal_fast')
VOC = ('pascal_voc/mAP', 'pascal_voc/AP50')
POINT_HEADS = ('PointSupMaskHead', 'PointSupCondInstMaskHead')
KNOWN = ('tags', 'level')  # what a weakly supervised model must know of an image

# VOC's evaluation forks processes, which hang where this one has threads.
mean_ap.Pool = ThreadPool


class MMDetTask(FrameworkTask):
    """A stock mmdet 3.x config as a task of the loop.

    A label is all boxes of an image; of a model that learns masks, all masks.

    Attributes:
        learns_points: Whether the model learns masks from single points of objects.
    """

    form = 'boxes'
    scope = 'mmdet'
    provides = frozenset(
        {'boxes', 'image_features', 'box_features', 'weak_loss', 'objects', 'masks', 'passes'}
    )
    samples = 'images to detect objects in'
    per_class = 'coco/{}_precision'
    least_classes = 1

    def __init__(self, cfg: Config, rounds: Rounds) -> None:
        check_metric(cfg['val_evaluator'], rounds.metric)
        roi_head = cfg['model'].get('roi_head') or {}
        self.learns_points = _mask_head(cfg['model']) in POINT_HEADS
        self.learns_tags = type_name(roi_head) == 'WeakRoIHead'
        super().__init__(cfg, rounds)
        check_pipeline(self._pipeline)
        self.form = label_form(cfg['model'], self._pipeline)
        if self._source is not None:
            raise ConfigError('Expected no `source` with mmdet: only mmseg learns from two domains')

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
        """The objects of the data set without those to be ignored (crowds, difficult ones).

        Returns:
            Boxes; of a model that learns masks `Instances` with masks.

        Raises:
            ValueError: A class out of range, a box outside the image, or no mask where one is due.
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
        found = Boxes(boxes, labels)
        if self.form == 'boxes':
            return found
        masks = tuple(mask_of(o.get('mask'), (height, width), name) for o in objects)
        return Instances.with_masks(found, masks)

    def _check_needs(self, model: Any, needs: frozenset[str]) -> None:
        if 'objects' in needs and not self.learns_points:
            raise ConfigError(
                'Expected a model that learns masks from points '
                f'(a mask head of type {" or ".join(POINT_HEADS)}), as the acquisition asks about '
                'the masks of single objects, but got one that does not'
            )
        if 'masks' in needs:
            mask_reader_of(model)
        if not needs - {'objects', 'masks'}:
            return
        reader = reader_of(model)
        if 'weak_loss' in needs and not isinstance(reader, WeakReader):
            raise ConfigError(
                'Expected a model that learns from tags (`model.roi_head` of type WeakRoIHead), as '
                'the acquisition needs its loss on them, but got one that does not'
            )
        missing = (needs & {'image_features', 'box_features'}) - reader.gives
        if 'passes' in needs and not reader.last:
            missing |= {'passes'}
        if missing:
            raise ConfigError(
                f'Expected an acquisition that needs no {" or ".join(sorted(missing))}, as they '
                f'cannot be read of `{type(model).__name__}`, but got one that does'
            )

    def _predictions(
        self, model: Any, loader: DataLoader, needs: frozenset[str], options: Any
    ) -> Iterator[Any]:
        for batch in loader:
            if 'masks' in needs:
                yield from object_maps(model, batch, options or MaskOptions())
            else:
                yield from detections(model, batch, options or DetectionOptions(), needs)

    def predict(
        self,
        checkpoint: Path,
        samples: np.ndarray,
        needs: frozenset[str],
        options: Any = None,
        ledger: Ledger | None = None,
    ) -> Iterator[Any]:
        """As `FrameworkTask.predict`; what is known of the objects needs no model."""
        if 'objects' not in needs:
            yield from super().predict(checkpoint, samples, needs, options, ledger)
            return
        store = self._instances(ledger or Ledger(), None)
        for sample in samples.tolist() if 'masks' not in needs else ():
            yield self._objects(store, sample)
        if 'masks' in needs:
            found = super().predict(checkpoint, samples, needs, options, ledger)
            for sample, maps in zip(samples.tolist(), found):
                yield replace(self._objects(store, sample), maps=maps)

    def _objects(self, store: InstanceStore, sample: int) -> InstancePrediction:
        """What is known of a sample's objects."""
        return InstancePrediction(
            sample=sample,
            size=self.manifest.size(sample),
            boxes=store.boxes(sample).boxes,
            has_mask=np.array([mask is not None for mask in store.masks(sample)], bool),
            asked=store.asked(sample),
        )

    def _instances(self, ledger: Ledger, round_number: int | None) -> InstanceStore:
        widths, asked = self.manifest.widths, ledger.units_asked('point')
        return InstanceStore(ledger.in_force(round_number), widths, asked)

    def _prepare(self, cfg: Any) -> None:
        evaluator = cfg['val_evaluator']
        for metric in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
            if type_name(metric) == 'CocoMetric':
                metric['classwise'] = True  # results of classes, for the report

    def _answered(self, job: TrainJob) -> PoolDetDataset:
        answers = BoxStore(job.ledger.in_force(job.round_number))
        if self.form == 'masks':
            answers = self._instances(job.ledger, job.round_number)
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
        if self.form == 'masks':
            pipeline = with_points(pipeline) if self.learns_points else with_masks(pipeline)
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
        return given if type_name(given) == 'LevelSampler' else super()._sampler(loader)

    def _images(self, samples: Sequence[int], pipeline: Sequence[Any], ledger: Ledger) -> Dataset:
        in_force = ledger.in_force()
        pipeline = surgery.packed(
            pipeline, (*KNOWN, 'objects', 'object_labels') if self.learns_points else KNOWN
        )
        return PoolDetDataset(
            self._records,
            samples,
            None,
            TagStore(in_force),
            self._metainfo,
            pipeline,
            objects=BoxStore(in_force) if self.learns_points else None,
        )


def check_metric(evaluator: Any, metric: str) -> None:
    """Refuses a metric that the evaluator will not report, where that is known beforehand.

    Args:
        evaluator: `val_evaluator` of the config.
        metric: `rounds.metric`.
    """
    names: list[str] = []
    for node in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
        kinds = node.get('metric', 'bbox')
        if type_name(node) == 'CocoMetric' and not node.get('prefix'):
            kinds = kinds if isinstance(kinds, (list, tuple)) else [kinds]
            for unknown in (kind for kind in kinds if kind not in COCO_KINDS):
                near = nearest(str(unknown), COCO_KINDS)
                raise ConfigError(f'Unknown `val_evaluator.metric` {unknown!r}. {near}')
            names += [f'coco/{kind}_{name}' for kind in kinds for name in COCO]
        elif type_name(node) == 'VOCMetric' and not node.get('prefix'):
            names += VOC
        else:
            return
    if metric not in names:
        raise ConfigError(f'Unknown `rounds.metric` {metric!r}. {nearest(metric, names)}')


def check_pipeline(pipeline: Sequence[Any]) -> None:
    """Refuses a training pipeline that loads labels which answers do not hold, by name.

    Args:
        pipeline: Of the training data set.
    """
    for step in pipeline:
        name = str(step.get('type')).rsplit('.', 1)[-1]
        if step.get('with_seg') or name in ('LoadPanopticAnnotations', 'LoadTrackAnnotations'):
            loads = 'label maps (`with_seg`)' if step.get('with_seg') else 'more'
            raise ConfigError(
                'Expected a training pipeline that loads boxes and masks of objects, but got '
                f'`{name}`, which loads {loads}; answers of detectors hold no more than objects'
            )


def label_form(model: Any, pipeline: Sequence[Any]) -> str:
    """What a label of an image is: `masks` where the model learns them, else `boxes`.

    Args:
        model: The model's config. Some learn masks without a mask head: Mask2Former, RTMDet-Ins.
        pipeline: Of the training data set, which then loads them.
    """
    loads = any(step.get('with_mask') for step in pipeline if isinstance(step, dict))
    return 'masks' if loads or _mask_head(model) is not None else 'boxes'


def _mask_head(model: Any) -> str | None:
    """The type of a model's mask head, None if it has none."""
    head = model.get('mask_head') or (model.get('roi_head') or {}).get('mask_head')
    if isinstance(head, (list, tuple)):
        head = head[0] if head else None
    return None if head is None else type_name(head)
