"""Semantic segmentation of LiDAR scans with this package's own sparse networks.

A scan of N points is a sample of height N and width 1, so labels, units and predictions are those
of an image, and everything that selects, asks and records works on scans as it is.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from dense_al.adapters import checks, surgery
from dense_al.adapters.framework import FrameworkTask
from dense_al.adapters.runner import runner_arguments
from dense_al.adapters.task import TrainJob
from dense_al.datasets.scan_pool import (
    AnsweredScans,
    EvaluatedScans,
    PredictedScans,
    build_pipeline,
    joined,
    scan_source,
)
from dense_al.datasets.scans import ScanSource
from dense_al.models import (
    point_voxel,  # noqa: F401 registers a model
    scan_metric,  # noqa: F401 registers the metric
    scan_segmentor,  # noqa: F401 registers models
)
from dense_al.pool import AnswerStore, Ledger
from dense_al.registry import ConfigError, nearest
from dense_al.structures import Manifest, Pixels, ScanOptions, SegPrediction

METRICS = ('mIoU', 'accuracy')
POOL, EVALUATION = 'train_dataloader.dataset', 'val_dataloader.dataset'


def pool_scans(cfg: Config) -> ScanSource:
    """The scans of a config's training data, in the order of the manifest.

    Raises:
        ConfigError: A mistake in `train_dataloader.dataset`.
    """
    return joined([scan_source(part, POOL) for part in surgery.pool_datasets(cfg)], POOL)


class ScanTask(FrameworkTask):
    """A config of scans as a task of the loop.

    Args:
        cfg: The config; the data set of its training is the pool, that of its validation the
            evaluation. See `dense_al.datasets.scan_pool` for their keys.
        rounds: How long a round trains.

    Attributes:
        scans: The pool; its records are in the order of the manifest.
    """

    form = 'pixels'
    scope = 'mmengine'
    provides = frozenset({'probs', 'features', 'points', 'passes'})
    samples = 'scans'
    per_class = 'IoU_{}'
    scans: ScanSource

    def _read_pool(self, cfg: Config) -> None:
        if cfg.get('source') is not None:
            raise ConfigError('Expected no `source`: scans of another domain are not supported')
        steps = surgery.pool_datasets(cfg)[0].get('pipeline') or ()
        self._steps = build_pipeline(steps, f'{POOL}.pipeline')
        self.scans = pool_scans(cfg)
        held_out = cfg['val_dataloader']['dataset']
        self._test_steps = build_pipeline(held_out.get('pipeline') or (), f'{EVALUATION}.pipeline')
        self._held_out = scan_source(held_out, EVALUATION)
        if self._held_out.classes != self.scans.classes:
            raise ConfigError(
                f'Expected the classes of the pool in `{EVALUATION}` ({self.scans.classes}), '
                f'but got {self._held_out.classes}'
            )
        if not self._held_out.labelled.all():
            first = self._held_out.records[int(self._held_out.labelled.argmin())]
            raise ConfigError(f'Expected labels of `{EVALUATION}`, but `{first.name}` has none')
        self.classes = list(self.scans.classes)
        self._metainfo = {'classes': self.scans.classes, 'palette': self.scans.palette}
        self.manifest = _manifest(self.scans)
        self._check_config(cfg)

    def _check_pipelines(self) -> None:
        """They are built with the pool."""

    def _check_evaluation(self) -> None:
        checks.check_evaluator(self._cfg, EvaluatedScans(self._held_out, self._test_steps))

    def _check_config(self, cfg: Config) -> None:
        """Raises `ConfigError` for a model or a metric that does not fit the data."""
        number, metric = cfg['model'].get('num_classes'), self._rounds.metric
        if number != len(self.classes):
            raise ConfigError(
                f'Expected `model.num_classes` to be {len(self.classes)}, the classes of the label '
                f'map, but got {number!r}'
            )
        if metric not in METRICS:
            raise ConfigError(f'Unknown `rounds.metric` {metric!r}. {nearest(metric, METRICS)}')

    def read_label(self, sample: int) -> Pixels:
        """The label of the data set, checked.

        Raises:
            UnreadableSampleError: No label file, another length, a label that is not in the map.
        """
        return Pixels(self.scans.load_labels(self.scans.records[sample]))

    def _check_needs(self, model: Any, needs: frozenset[str]) -> None:
        """Every network for scans gives all that may be needed of scans."""

    def _predictions(
        self, model: Any, loader: DataLoader, needs: frozenset[str], options: Any
    ) -> Iterator[SegPrediction]:
        batches = (
            model.predict(**model.data_preprocessor(batch), features='features' in needs)
            for batch in loader
        )
        single = (result for batch in batches for result in batch)
        for sample, views in groupby(single, key=lambda result: int(result['sample'])):
            yield _averaged(sample, list(views))

    def _prepare(self, cfg: Any) -> None:
        # mmengine would look for a package of the config's scope in its registries, and complain.
        cfg['default_scope'] = self.scope

    def _answered(self, job: TrainJob) -> AnsweredScans:
        answers = AnswerStore(job.ledger.in_force(job.round_number), self.manifest, job.units)
        if not answers.samples:
            raise ConfigError('Expected at least one labelled scan to train on, but got none')
        return AnsweredScans(self.scans, answers.samples, answers, self._steps)

    def _runner_arguments(self, cfg: Config) -> dict[str, Any]:
        loader = {
            **cfg['val_dataloader'],
            'dataset': EvaluatedScans(self._held_out, self._test_steps),
        }
        return {**runner_arguments(cfg), 'val_dataloader': Runner.build_dataloader(loader)}

    def _image_loader(
        self, samples: np.ndarray, ledger: Ledger | None, options: Any = None
    ) -> DataLoader:
        given = options if isinstance(options, ScanOptions) else ScanOptions()
        steps = self._steps if given.passes > 1 else self._test_steps
        stock = self._cfg['val_dataloader']
        return DataLoader(
            PredictedScans(self.scans, samples.tolist(), steps, given.passes, given.seed),
            batch_size=int(stock.get('batch_size', 1)),
            num_workers=int(stock.get('num_workers', 0)),
            collate_fn=pseudo_collate,
        )

    def _images(self, samples: Sequence[int], pipeline: Sequence[Any], ledger: Ledger) -> Dataset:
        return PredictedScans(self.scans, samples, self._test_steps)


def _averaged(sample: int, views: list[dict[str, Any]]) -> SegPrediction:
    """One prediction of the views of a scan: the means of probabilities and features."""
    probs = torch.stack([view['probs'] for view in views]).mean(dim=0)
    features = None
    if 'features' in views[0]:
        features = torch.stack([view['features'] for view in views]).mean(dim=0).T[..., None]
    return SegPrediction(sample=sample, probs=probs.T[..., None], features=features)


def _manifest(scans: ScanSource) -> Manifest:
    """A scan of N points is N high and one wide."""
    n = len(scans)
    return Manifest(
        names=tuple(record.name for record in scans.records),
        paths=tuple(os.path.abspath(record.points_path) for record in scans.records),
        heights=scans.n_points,
        widths=np.ones(n, np.int64),
        domains=('target',) * n,
        sequences=tuple(record.sequence for record in scans.records),
        frames=np.array([record.frame for record in scans.records], np.int64),
    )
