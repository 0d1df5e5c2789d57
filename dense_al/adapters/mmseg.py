"""Semantic segmentation with mmseg: one mmengine Runner per round."""

import copy
import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmengine.visualization import Visualizer
from mmseg.registry import DATASETS, METRICS, MODELS
from torch.utils.data import DataLoader

from dense_al.adapters import mmseg_config as surgery
from dense_al.datasets.segmentation import (
    PoolSegDataset,
    image_size,
    with_answered_crops,
    without_annotations,
)
from dense_al.engine.task import Rounds, TrainJob, TrainResult
from dense_al.pool import AnswerStore
from dense_al.registry import ConfigError
from dense_al.structures import IGNORE, Manifest, SegPrediction


class MMSegTask:
    """A stock mmseg 1.x config as a task of the loop.

    Args:
        cfg: The config; its training set is the pool, its validation set the evaluation.
        rounds: How long a round trains.
        partial: Whether images may be labelled in part.
    """

    def __init__(self, cfg: Config, rounds: Rounds, partial: bool = True) -> None:
        init_default_scope(cfg.get('default_scope', 'mmseg'))
        surgery.check_model(cfg['model'], partial)
        self._cfg, self._rounds = cfg, rounds
        pool = surgery.pool_dataset(cfg)
        self._pipeline = pool.get('pipeline', [])
        self._dataset = DATASETS.build({**pool, 'pipeline': []})
        if len(self._dataset) == 0:
            raise ConfigError('Expected images in `train_dataloader.dataset`, but it is empty')
        infos = [self._dataset.get_data_info(i) for i in range(len(self._dataset))]
        self._labels = [info.pop('seg_map_path', None) for info in infos]
        self._records = infos
        self._metainfo = dict(self._dataset.metainfo)
        self.classes = [str(c) for c in self._metainfo.get('classes') or ()]
        if len(self.classes) < 2:
            raise ConfigError(
                'Expected at least two classes in `train_dataloader.dataset.metainfo.classes`, '
                f'but got {self.classes}'
            )
        paths = [os.path.abspath(info['img_path']) for info in infos]
        self.manifest = Manifest.of_images(_names(paths), paths, [image_size(p) for p in paths])

    @property
    def palette(self) -> list[list[int]]:
        """RGB colour of each class."""
        return [list(c) for c in self._metainfo['palette']]

    def read_label(self, sample: int) -> np.ndarray:
        """(H, W) uint8 label of the data set, checked.

        Raises:
            FileNotFoundError, ValueError: No label file, another size, a class out of range.
        """
        path = self._labels[sample]
        if path is None or not Path(path).exists():
            raise FileNotFoundError(
                f'Expected a label file for {self.manifest.paths[sample]}, at {path}'
            )
        from mmseg.datasets.transforms import LoadAnnotations

        info = {**self._records[sample], 'seg_map_path': path, 'seg_fields': []}
        label = LoadAnnotations()(info)['gt_seg_map']
        if label.shape != self.manifest.size(sample):
            raise ValueError(
                f'Expected the label {path} of size {self.manifest.size(sample)} (height, width) '
                f'like its image, but got {label.shape}'
            )
        bad = (label >= len(self.classes)) & (label != IGNORE)
        if bad.any():
            raise ValueError(
                f'Expected classes 0 to {len(self.classes) - 1} or {IGNORE} in {path}, '
                f'but got {int(label[bad][0])}'
            )
        return label

    def train(self, job: TrainJob) -> TrainResult:
        """Trains on the answers and evaluates on the validation set."""
        return self._run(self._runner(job), job, 'train')

    def evaluate(self, job: TrainJob) -> TrainResult:
        """Evaluates `job.load_from` on the validation set; no training."""
        return self._run(self._runner(job), job, 'val')

    def _run(self, runner: Runner, job: TrainJob, what: str) -> TrainResult:
        times = _Times()
        runner.register_hook(times)
        try:
            begun = time.perf_counter()
            getattr(runner, what)()
            total = time.perf_counter() - begun
            _save(runner, job.checkpoint)
        finally:
            _release(runner.experiment_name)
        metrics = dict(times.metrics)
        per_class = {c: float(metrics.pop(f'class/{c}', float('nan'))) for c in self.classes}
        del runner
        gc.collect()
        return TrainResult(
            metrics={k: float(v) for k, v in metrics.items()},
            per_class=per_class,
            train_seconds=total - times.evaluate_seconds,
            evaluate_seconds=times.evaluate_seconds,
        )

    @torch.no_grad()
    def predict(
        self, checkpoint: Path, samples: np.ndarray, needs: frozenset[str]
    ) -> Iterator[SegPrediction]:
        """Class probabilities at original size, in the order of `samples`."""
        model: Any = self._model(checkpoint)
        captured: list[torch.Tensor] = []
        if 'features' in needs:
            layer = model.decode_head.conv_seg
            layer.register_forward_pre_hook(lambda module, inputs: captured.append(inputs[0]))
        for batch in self._loader(samples):
            captured.clear()
            outputs = model.test_step(batch)
            for i, output in enumerate(outputs):
                logits = output.seg_logits.data.float()
                if len(logits) == 1:  # mmseg applies the sigmoid itself
                    probs = torch.cat([1 - logits, logits])
                else:
                    probs = logits.softmax(0)
                yield SegPrediction(
                    sample=int(output.metainfo['sample']),
                    probs=probs,
                    features=captured[0][i].float() if captured else None,
                )

    def _runner(self, job: TrainJob) -> Runner:
        """The Runner of one round."""
        cfg = copy.deepcopy(self._cfg)
        answers = AnswerStore(job.ledger.in_force(job.round_number), self.manifest, job.units)
        samples = answers.samples
        if not samples:
            raise ConfigError('Expected at least one labelled sample to train on, but got none')
        loader = copy.deepcopy(cfg['train_dataloader'])
        loader.pop('batch_sampler', None)
        batch = int(loader.get('batch_size', 1))
        surgery.set_length(
            cfg,
            self._rounds.iterations,
            self._rounds.epochs,
            per_epoch=-(-len(samples) // batch),
            old_per_epoch=-(-len(self.manifest) // batch),
        )
        surgery.partial_losses(cfg['model'])
        if not cfg.get('launcher', 'none') != 'none':
            surgery.local_norms(cfg['model'])
        loader['sampler'] = {'type': 'InfiniteSampler', 'shuffle': True}
        loader['dataset'] = PoolSegDataset(
            self._records,
            samples,
            answers,
            self._metainfo,
            with_answered_crops(without_annotations(self._pipeline)),
        )
        evaluator = cfg.get('val_evaluator')
        evaluators = list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
        cfg['val_evaluator'] = [*evaluators, {'type': 'PerClassIoU'}]
        for key in ('test_dataloader', 'test_evaluator', 'test_cfg', 'train_dataloader'):
            cfg.pop(key, None)
        hooks = dict(cfg.get('default_hooks') or {})
        hooks['checkpoint'] = None
        cfg['default_hooks'] = hooks
        cfg['work_dir'] = str(job.folder)
        cfg['experiment_name'] = f'{Path(job.folder).parents[2].name}_{job.round_number:03d}'
        cfg['resume'] = False
        if cfg.get('visualizer'):
            # A Visualizer is found again by its name: each round needs its own.
            cfg['visualizer'] = {**cfg['visualizer'], 'name': cfg['experiment_name']}
        if job.load_from is not None:
            cfg['load_from'] = str(job.load_from)
        randomness = dict(cfg.get('randomness') or {})
        cfg['randomness'] = {**randomness, 'seed': job.seed}
        torch.manual_seed(job.seed)
        train_loader = Runner.build_dataloader(loader, seed=job.seed)
        return Runner(train_dataloader=train_loader, **_arguments(cfg))

    def _model(self, checkpoint: Path) -> torch.nn.Module:
        """The model with the weights of a checkpoint, ready to predict."""
        cfg = copy.deepcopy(self._cfg['model'])
        surgery.local_norms(cfg)
        model = MODELS.build(cfg)
        load_checkpoint(model, str(checkpoint), map_location='cpu', strict=True, logger='silent')
        model.to('cuda' if torch.cuda.is_available() else 'cpu')
        return model.eval()

    def _loader(self, samples: np.ndarray) -> DataLoader:
        """Batches of the pool's images, in the order of `samples`."""
        stock = self._cfg.get('test_dataloader') or self._cfg['val_dataloader']
        pipeline = without_annotations(stock['dataset'].get('pipeline', []))
        for step in pipeline:
            if step.get('type') == 'PackSegInputs':
                default = ('img_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor')
                keys = step.get('meta_keys', (*default, 'flip', 'flip_direction'))
                step['meta_keys'] = (*keys, 'sample')
        dataset = PoolSegDataset(self._records, samples.tolist(), None, self._metainfo, pipeline)
        return DataLoader(
            dataset,
            batch_size=int(stock.get('batch_size', 1)),
            num_workers=int(stock.get('num_workers', 0)),
            collate_fn=pseudo_collate,
        )


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


class _Times(Hook):
    """Keeps the last evaluation's metrics and how long it took."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.evaluate_seconds = 0.0
        self._begun = 0.0

    def before_val(self, runner: Any) -> None:
        self._begun = time.perf_counter()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        self.metrics = dict(metrics or {})
        self.evaluate_seconds += time.perf_counter() - self._begun


def _arguments(cfg: Config) -> dict[str, Any]:
    """The Runner's arguments in a config."""
    names = (
        'model work_dir val_dataloader train_cfg val_cfg auto_scale_lr optim_wrapper '
        'param_scheduler val_evaluator default_hooks custom_hooks data_preprocessor load_from '
        'resume launcher env_cfg log_processor log_level visualizer default_scope randomness '
        'experiment_name'
    ).split()
    given = {name: cfg[name] for name in names if cfg.get(name) is not None}
    given.setdefault('env_cfg', {'dist_cfg': {'backend': 'gloo'}})
    return {**given, 'cfg': cfg}


def _save(runner: Runner, path: Path) -> None:
    """Writes the weights alone, whole or not at all."""
    folder = path.parent
    name = '.checkpoint.pth.tmp'
    runner.save_checkpoint(
        str(folder), name, file_client_args=None, save_optimizer=False, save_param_scheduler=False
    )
    if (folder / name).exists():
        os.replace(folder / name, path)


def _release(name: str) -> None:
    """Takes a Runner's entries out of mmengine's global tables and closes its log files."""
    for manager in (MessageHub, Visualizer, MMLogger):
        table = manager._instance_dict
        for key in [k for k in table if str(k).startswith(name) or str(k).endswith(name)]:
            instance = table.pop(key)
            for handler in getattr(instance, 'handlers', []):
                handler.close()
            if isinstance(instance, Visualizer):
                instance.close()


def _names(paths: list[str]) -> list[str]:
    """Paths below their common folder: short and unique."""
    common = os.path.commonpath([os.path.dirname(p) for p in paths])
    return [os.path.relpath(p, common) for p in paths]
