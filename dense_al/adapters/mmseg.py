"""Semantic segmentation with mmseg: one mmengine Runner per round."""

import copy
import gc
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmengine.visualization import Visualizer
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from torch.utils.data import DataLoader

from dense_al.adapters import (
    mmseg_config,
    mmseg_metric,  # noqa: F401 registers the metric
    surgery,
)
from dense_al.adapters.mmseg_predict import last_layer, probabilities
from dense_al.adapters.runner import (
    CurvePoint,
    labelled_totals,
    round_config,
    run_folder,
    run_round,
    runner_arguments,
)
from dense_al.adapters.task import Rounds, TrainJob, TrainResult
from dense_al.adapters.tracker import begin_round, curve_visualizer
from dense_al.datasets.images import image_size
from dense_al.datasets.segmentation import (
    PoolSegDataset,
    annotation_loader,
    with_answered_crops,
    without_annotations,
)
from dense_al.pool import AnswerStore
from dense_al.progress import bar
from dense_al.registry import ConfigError
from dense_al.structures import IGNORE, Manifest, SegPrediction

# It is set wherever it matters; with class weights it must not be.
warnings.filterwarnings('ignore', 'Default ``avg_non_ignore`` is False')


class MMSegTask:
    """A stock mmseg 1.x config as a task of the loop.

    Args:
        cfg: The config; its training set is the pool, its validation set the evaluation.
        rounds: How long a round trains.
        partial: Whether images may be labelled in part.
    """

    form = 'pixels'

    def __init__(self, cfg: Config, rounds: Rounds, partial: bool = True) -> None:
        init_default_scope(cfg.get('default_scope', 'mmseg'))
        mmseg_config.check_model(cfg['model'], partial)
        mmseg_config.check_metric(cfg['val_evaluator'], rounds.metric)
        self._cfg, self._rounds = cfg, rounds
        self._curve: Visualizer | None = None
        pool = surgery.pool_dataset(cfg)
        self._pipeline = pool.get('pipeline', [])
        self._read = TRANSFORMS.build(annotation_loader(self._pipeline))
        self._dataset = DATASETS.build({**pool, 'pipeline': [], 'serialize_data': False})
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
        info = {**self._records[sample], 'seg_map_path': path, 'seg_fields': []}
        try:
            label = self._read(info)['gt_seg_map']
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError(f'Could not read the label {path}: {error}') from error
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

    def check_labels(self) -> None:
        """Reads every label file of the pool once, before anything is trained.

        Raises:
            ConfigError: Some are missing or wrong: how many, and what is wrong with the first.
        """

        def problem(sample: int) -> str:
            try:
                self.read_label(sample)
            except (OSError, ValueError) as error:
                return str(error)
            return ''

        with ThreadPoolExecutor() as threads:
            samples = range(len(self.manifest))
            found = bar(threads.map(problem, samples), 'labels', len(samples))
            problems = [text for text in found if text]
        if problems:
            raise ConfigError(f'{len(problems)} of {len(samples)} labels are wrong: {problems[0]}')

    def check_model(self, needs: frozenset[str]) -> None:
        """Builds the model once, before anything is trained.

        Args:
            needs: What the acquisition needs of a prediction.

        Raises:
            ConfigError: It cannot be built, or has no features where they are needed.
        """
        try:
            model = self._model()
        except (KeyError, TypeError, AttributeError, ImportError) as error:
            raise ConfigError(f'Could not build `model`: {error}') from error
        if 'features' in needs:
            last_layer(model)

    def train(self, job: TrainJob) -> TrainResult:
        """Trains on the answers and evaluates on the validation set."""
        return self._run(job, 'train')

    def evaluate(self, job: TrainJob) -> TrainResult:
        """Evaluates `job.load_from` on the validation set; no training."""
        return self._run(job, 'val')

    def _run(self, job: TrainJob, what: str) -> TrainResult:
        runner, inexact = self._runner(job, what)
        result = run_round(runner, job, what, self.classes)
        del runner
        gc.collect()
        return replace(result, exact=not inexact)

    @torch.no_grad()
    def predict(
        self, checkpoint: Path, samples: np.ndarray, needs: frozenset[str]
    ) -> Iterator[SegPrediction]:
        """Class probabilities at original size, in the order of `samples`."""
        model = self._model()
        load_checkpoint(model, str(checkpoint), map_location='cpu', strict=True, logger='silent')
        model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()
        captured: list[torch.Tensor] = []
        if 'features' in needs:
            layer = last_layer(model)
            layer.register_forward_pre_hook(lambda module, inputs: captured.append(inputs[0]))
        for batch in self._loader(samples):
            captured.clear()
            for i, (probs, meta) in enumerate(probabilities(model, batch)):
                features = captured[0][i].float() if captured else None
                yield SegPrediction(sample=int(meta['sample']), probs=probs, features=features)

    def _runner(self, job: TrainJob, what: str) -> tuple[Runner, bool]:
        """The Runner of one round, and whether it goes on in the middle of it."""
        cfg = copy.deepcopy(self._cfg)
        loader = self._train_loader(job)
        length = surgery.set_length(
            cfg,
            self._rounds.iterations,
            self._rounds.epochs,
            per_epoch=-(-len(loader['dataset']) // int(loader.get('batch_size', 1))),
            old_per_epoch=-(-len(self.manifest) // int(loader.get('batch_size', 1))),
        )
        mmseg_config.partial_losses(cfg['model'])
        if cfg.get('launcher', 'none') == 'none':
            surgery.local_norms(cfg['model'])
        evaluator = cfg.get('val_evaluator')
        evaluators = list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
        cfg['val_evaluator'] = [*evaluators, {'type': 'PerClassIoU'}]
        interval = self._rounds.checkpoint_interval if what == 'train' else None
        inexact = round_config(cfg, job, interval)
        if self._curve is None:
            self._curve = curve_visualizer(cfg.get('visualizer') or {}, run_folder(job))
        begin_round(self._curve, job.round_number * length)
        torch.manual_seed(job.seed)
        arguments = {**runner_arguments(cfg), 'visualizer': self._curve}
        runner = Runner(
            train_dataloader=Runner.build_dataloader(loader, seed=job.seed), **arguments
        )
        runner.register_hook(CurvePoint(labelled_totals(job)))
        return runner, inexact

    def _train_loader(self, job: TrainJob) -> dict[str, Any]:
        """The training data of a round: answered samples with their answers alone."""
        answers = AnswerStore(job.ledger.in_force(job.round_number), self.manifest, job.units)
        if not answers.samples:
            raise ConfigError('Expected at least one labelled sample to train on, but got none')
        loader: dict[str, Any] = copy.deepcopy(self._cfg['train_dataloader'])
        loader.pop('batch_sampler', None)
        loader['sampler'] = {'type': 'InfiniteSampler', 'shuffle': True}
        loader['dataset'] = PoolSegDataset(
            self._records,
            answers.samples,
            answers,
            self._metainfo,
            with_answered_crops(without_annotations(self._pipeline)),
        )
        return loader

    def _model(self) -> Any:
        """The model of the config, for one process and with weights of no meaning."""
        cfg = copy.deepcopy(self._cfg['model'])
        surgery.local_norms(cfg)
        if self._cfg.get('data_preprocessor'):
            cfg.setdefault('data_preprocessor', self._cfg['data_preprocessor'])
        return MODELS.build(cfg)

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


def _names(paths: list[str]) -> list[str]:
    """Paths below their common folder: short and unique."""
    common = os.path.commonpath([os.path.dirname(p) for p in paths])
    return [os.path.relpath(p, common) for p in paths]
