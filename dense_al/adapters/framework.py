"""What tasks on OpenMMLab frameworks share: the pool, one mmengine Runner per round, the images."""

import copy
import gc
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_world_size
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmengine.visualization import Visualizer
from torch.utils.data import DataLoader, Dataset

from dense_al.adapters import checks, surgery
from dense_al.adapters.classes import check_heads, check_names
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
from dense_al.pool import Ledger
from dense_al.progress import bar
from dense_al.regions import image_size
from dense_al.registry import ConfigError
from dense_al.structures import IGNORE, Label, Manifest


class FrameworkTask(ABC):
    """A stock config of a framework as a task of the loop.

    Args:
        cfg: The config; its training set is the pool, its validation set the evaluation.
        rounds: How long a round trains.

    Attributes:
        form: What a label of a whole sample is, `pixels`, `boxes` or `masks`.
        per_class: How the evaluator names the result of a class, `{}` standing for its name.
        provides: What an acquisition may need, see `Acquisition.needs`.
        samples: What they are, for messages.
    """

    form: str
    scope: ClassVar[str]
    per_class: ClassVar[str]
    provides: ClassVar[frozenset[str]]
    samples: ClassVar[str]
    least_classes: ClassVar[int] = 2
    learns_tags: bool = False  # whether the model learns from tags of images
    learns_points: bool = False  # whether it learns masks from single points of objects
    scans: Any = None  # where the points of samples come from, where they are scans

    def __init__(self, cfg: Config, rounds: Rounds) -> None:
        init_default_scope(self.scope)
        self._cfg, self._rounds = cfg, rounds
        self._curve: Visualizer | None = None
        self._read_pool(cfg)

    def _read_pool(self, cfg: Config) -> None:
        """Lists the samples, first those of the pool, and their classes; nothing is loaded."""
        pool = surgery.pool_datasets(cfg)
        self._pipeline = pool[0].get('pipeline', [])
        with checks.naming('train_dataloader.dataset'):
            datasets = [DATASETS.build(self._whole_pool(part)) for part in pool]
        self._records = [d.get_data_info(i) for d in datasets for i in range(len(d))]
        if not self._records:
            raise ConfigError('Expected images in `train_dataloader.dataset`, but it is empty')
        check_names(datasets, 'train_dataloader.dataset')
        self._metainfo = _shared_metainfo(datasets)
        self.classes = [str(c) for c in self._metainfo.get('classes') or ()]
        if len(self.classes) < self.least_classes:
            raise ConfigError(
                f'Expected at least {self.least_classes} classes in '
                f'`train_dataloader.dataset.metainfo.classes`, but got {self.classes}'
            )
        if self.form == 'pixels' and len(self.classes) > IGNORE:
            raise ConfigError(
                f'Expected at most {IGNORE} classes in `train_dataloader.dataset.metainfo.classes`,'
                f' as a label of a pixel is one byte, but got {len(self.classes)}'
            )
        self.manifest = _manifest(self._records, 'train_dataloader.dataset')
        self._add_source(surgery.source_of(cfg))

    def _add_source(self, source: dict[str, Any] | None) -> None:
        """Takes in the labelled data set of a source domain, if there is one."""
        self._source = source
        if source is None:
            return
        with checks.naming('source.dataset'):
            dataset = DATASETS.build(self._whole_pool(source['dataset']))
        classes = [str(c) for c in dataset.metainfo.get('classes') or ()]
        if classes != self.classes:
            raise ConfigError(
                f'Expected the classes of the pool in `source.dataset` ({self.classes}), '
                f'but got {classes}'
            )
        records = [dataset.get_data_info(i) for i in range(len(dataset))]
        if not records:
            raise ConfigError('Expected images in `source.dataset`, but it is empty')
        checks.check_files(records[0], 'source.dataset')
        self._records = [*self._records, *records]
        self.manifest = self.manifest.with_source(_manifest(records, 'source.dataset'))

    def _whole_pool(self, pool: dict[str, Any]) -> dict[str, Any]:
        """The pool's config so that every image is in it and none is loaded."""
        return {**pool, 'pipeline': [], 'serialize_data': False}

    @property
    def palette(self) -> list[list[int]]:
        """RGB colour of each class, empty where the data set has none."""
        return [list(c) for c in self._metainfo.get('palette') or ()]

    @abstractmethod
    def read_label(self, sample: int) -> Label:
        """The label of the data set, checked; only the oracle may ask.

        Raises:
            OSError, ValueError: It is missing or wrong.
        """

    def check_labels(self, samples: Sequence[int] | None = None) -> None:
        """Reads labels once, before anything is trained.

        Args:
            samples: Indices into the manifest; None: all of the pool.

        Raises:
            ConfigError: Some are missing or wrong: how many, and what is wrong with the first.
        """

        def problem(sample: int) -> str:
            try:
                self.read_label(sample)
            except (OSError, ValueError) as error:
                return str(error)
            return ''

        samples = range(self.manifest.n_pool) if samples is None else samples
        with ThreadPoolExecutor() as threads:
            found = bar(threads.map(problem, samples), 'labels', len(samples))
            problems = [text for text in found if text]
        if problems:
            raise ConfigError(
                f'Could not read `train_dataloader.dataset`: {len(problems)} of {len(samples)} '
                f'labels are wrong: {problems[0]}'
            )

    def check_config(self, needs: frozenset[str]) -> None:
        """Builds once what rounds are made of, before anything is trained.

        Args:
            needs: What the acquisition needs of a prediction and of the samples.

        Raises:
            ConfigError: Something cannot be built, a file is missing, or the model does not give
                what is needed.
        """
        if needs - self.provides:
            raise ConfigError(
                f'Expected an acquisition for {self.samples}, which may need '
                f'{", ".join(sorted(self.provides))}, but got one that needs '
                f'{", ".join(sorted(needs - self.provides))}'
            )
        with checks.naming('model'):
            model = self._model()
        check_heads(model, len(self.classes))
        self._check_needs(model, needs)
        checks.check_weights(self._cfg)
        self._check_pipelines()
        rounds = self._rounds
        checks.check_checkpoint(model, (rounds.initial or {}).get('checkpoint'))
        for number in range(2 if rounds.later else 1):
            prefix = 'rounds.later.' if number else ''
            with checks.naming('rounds.later'):
                cfg = self._config_of(number)
            checks.check_parts(cfg, prefix)
            if number and 'model' in (rounds.later or {}):
                with checks.naming('rounds.later.model'):
                    model = self._model(cfg)
            length = rounds.iterations_of(min(number, rounds.count - 1))
            checks.check_training(cfg, model, length, rounds.epochs, prefix)
        self._check_evaluation()

    def fetch_weights(self) -> None:
        """Has the weights that round 0 begins with on this machine before anything is asked.

        Raises:
            ConfigError: Some cannot be had.
        """
        checks.fetch_weights(self._cfg)

    def _check_pipelines(self) -> None:
        """Builds the steps from files to what a model is trained on and predicts on."""
        checks.check_pipeline(self._pipeline, 'train_dataloader.dataset.pipeline')
        if self._source is not None:
            steps = self._source['dataset'].get('pipeline', [])
            checks.check_pipeline(steps, 'source.dataset.pipeline')
        if self._cfg.get('test_dataloader'):
            steps = self._cfg['test_dataloader']['dataset'].get('pipeline', [])
            checks.check_pipeline(steps, 'test_dataloader.dataset.pipeline')

    def _check_evaluation(self) -> None:
        """Builds data and metric of the evaluation."""
        checks.check_evaluation(self._cfg, self.classes)

    @abstractmethod
    def _check_needs(self, model: Any, needs: frozenset[str]) -> None:
        """Raises `ConfigError` unless this model gives what is needed, as others of its kind do."""

    def train(self, job: TrainJob) -> TrainResult:
        """Trains on the answers and evaluates on the validation set."""
        return self._run(job, 'train')

    def evaluate(self, job: TrainJob) -> TrainResult:
        """Evaluates `job.load_from` on the validation set; no training."""
        return self._run(job, 'val')

    def _run(self, job: TrainJob, what: str) -> TrainResult:
        runner, inexact = self._runner(job, what)
        result = run_round(runner, job, what, {c: self.per_class.format(c) for c in self.classes})
        del runner
        gc.collect()
        return replace(result, exact=not inexact)

    @torch.no_grad()
    def predict(
        self,
        checkpoint: Path,
        samples: np.ndarray,
        needs: frozenset[str],
        options: Any = None,
        ledger: Ledger | None = None,
    ) -> Iterator[Any]:
        """Predictions at original size, in the order of `samples`, one by one.

        Args:
            checkpoint: The weights.
            samples: (S,) indices into the manifest.
            needs: What the acquisition needs of a prediction.
            options: What else it asks of the framework.
            ledger: What is known of the samples.
        """
        model = self._model()
        load_checkpoint(model, str(checkpoint), map_location='cpu', strict=True, logger='silent')
        model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()
        loader = self._image_loader(samples, ledger, options)
        yield from self._predictions(model, loader, needs, options)

    @abstractmethod
    def _predictions(
        self, model: Any, loader: DataLoader, needs: frozenset[str], options: Any
    ) -> Iterator[Any]:
        """Predictions of all images of a loader."""

    def _config_of(self, round_number: int) -> Config:
        """A copy of the config as it is for a round."""
        cfg = copy.deepcopy(self._cfg)
        if round_number > 0 and self._rounds.later:
            cfg.merge_from_dict(copy.deepcopy(dict(self._rounds.later)))
        return cfg

    def _runner(self, job: TrainJob, what: str) -> tuple[Runner, bool]:
        """The Runner of one round, and whether it goes on in the middle of it."""
        cfg = self._config_of(job.round_number)
        loader = copy.deepcopy(cfg['train_dataloader'])
        loader.pop('batch_sampler', None)
        loader['dataset'] = self._answered(job)
        wrapper = surgery.wrapper_of(cfg)
        if wrapper is not None:
            loader['dataset'] = DATASETS.build({**wrapper, 'dataset': loader['dataset']})
        loader['sampler'] = self._sampler(loader)
        # What all processes together see in one iteration.
        batch = int(loader.get('batch_size', 1)) * get_world_size()
        length = surgery.set_length(
            cfg,
            self._rounds.iterations_of(job.round_number),
            self._rounds.epochs,
            per_epoch=-(-len(loader['dataset']) // batch),
            old_per_epoch=-(-self.manifest.n_pool * surgery.repeats(cfg) // batch),
        )
        later = self._rounds.later or {}
        if job.round_number > 0 and 'param_scheduler' in later:
            cfg['param_scheduler'] = copy.deepcopy(later['param_scheduler'])
        if cfg.get('launcher', 'none') == 'none':
            surgery.local_norms(cfg['model'])
        self._prepare(cfg)
        interval = self._rounds.checkpoint_interval if what == 'train' else None
        inexact = round_config(cfg, job, interval)
        if self._curve is None:
            self._curve = curve_visualizer(cfg.get('visualizer') or {}, run_folder(job))
        begin_round(self._curve, self._rounds.steps_before(job.round_number, length))
        torch.manual_seed(job.seed)
        arguments = {**self._runner_arguments(cfg), 'visualizer': self._curve}
        runner = Runner(
            train_dataloader=Runner.build_dataloader(loader, seed=job.seed), **arguments
        )
        runner.register_hook(CurvePoint(labelled_totals(job)))
        return runner, inexact

    def _runner_arguments(self, cfg: Config) -> dict[str, Any]:
        """What the Runner of a round is built with, besides the training data."""
        return runner_arguments(cfg)

    def _sampler(self, loader: dict[str, Any]) -> dict[str, Any]:
        """What draws the training samples of a round."""
        return {'type': 'InfiniteSampler', 'shuffle': True}

    @abstractmethod
    def _prepare(self, cfg: Any) -> None:
        """Changes model and evaluator of a round's config (in place)."""

    @abstractmethod
    def _answered(self, job: TrainJob) -> Any:
        """The training data of a round: answered samples with their answers alone.

        Raises:
            ConfigError: There are none.
        """

    @abstractmethod
    def _images(self, samples: Sequence[int], pipeline: Sequence[Any], ledger: Ledger) -> Dataset:
        """Images of the pool to predict on, with nothing but what the ledger knows."""

    def _model(self, config: Config | None = None) -> Any:
        """The model of the config, for one process and with weights of no meaning."""
        cfg = copy.deepcopy((config or self._cfg)['model'])
        surgery.local_norms(cfg)
        if self._cfg.get('data_preprocessor'):
            cfg.setdefault('data_preprocessor', self._cfg['data_preprocessor'])
        return MODELS.build(cfg)

    def _image_loader(
        self, samples: np.ndarray, ledger: Ledger | None, options: Any = None
    ) -> DataLoader:
        """Batches of the pool's images, in the order of `samples`."""
        stock = self._cfg.get('test_dataloader') or self._cfg['val_dataloader']
        pipeline = surgery.image_pipeline(stock['dataset'].get('pipeline', []))
        return DataLoader(
            self._images(samples.tolist(), pipeline, ledger or Ledger()),
            batch_sampler=self._batches(samples, int(stock.get('batch_size', 1))),
            num_workers=int(stock.get('num_workers', 0)),
            collate_fn=pseudo_collate,
        )

    def _batches(self, samples: np.ndarray, most: int) -> list[list[int]]:
        """Which of `samples`, in their order and at most `most`, are predicted on together.

        Only images of one size: mmseg would not stack others, and mmdet fills smaller ones up, so
        that a prediction would depend on what else is in the batch.
        """
        sizes = np.array([self.manifest.size(s) for s in samples.tolist()]).reshape(-1, 2)
        starts = np.flatnonzero((sizes[1:] != sizes[:-1]).any(1)) + 1
        runs = np.split(np.arange(len(samples)), starts)
        return [run[i : i + most].tolist() for run in runs for i in range(0, len(run), most)]


def _shared_metainfo(datasets: list[Any]) -> dict[str, Any]:
    """What the data sets of the pool say of their classes.

    Raises:
        ConfigError: They have different ones.
    """
    first = dict(datasets[0].metainfo)
    for dataset in datasets[1:]:
        classes = dataset.metainfo.get('classes')
        if classes != first.get('classes'):
            raise ConfigError(
                f'Expected the same classes in all data sets of `train_dataloader.dataset`, '
                f'but got {first.get("classes")} and {classes}'
            )
    return first


def _manifest(records: Sequence[dict[str, Any]], field: str) -> Manifest:
    """A manifest of the images of records; `field` says where they come from."""
    paths = [os.path.abspath(record['img_path']) for record in records]
    with checks.naming(field):
        sizes = [image_size(p) for p in paths]
    return Manifest.of_images(_names(paths), paths, sizes)


def _names(paths: list[str]) -> list[str]:
    """Paths below their common folder: short and unique."""
    common = os.path.commonpath([os.path.dirname(p) for p in paths])
    return [os.path.relpath(p, common) for p in paths]
