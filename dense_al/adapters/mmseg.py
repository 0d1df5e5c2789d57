"""Semantic segmentation with mmseg."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError
from torch.utils.data import DataLoader, Dataset

import dense_al.datasets.domains
import dense_al.models.adversarial
import dense_al.models.deeplab_v2_head
import dense_al.models.frozen_norm
import dense_al.models.image_cross_entropy  # noqa: F401  all of them register
from dense_al.adapters import (
    mmseg_config,
    mmseg_metric,  # noqa: F401 registers the metric
    surgery,
)
from dense_al.adapters.framework import FrameworkTask
from dense_al.adapters.mmseg_predict import last_layer, own_features, probabilities
from dense_al.adapters.task import Rounds, TrainJob
from dense_al.datasets.domain_mix import DomainsDataset, SourceSegDataset
from dense_al.datasets.pipelines import annotation_loader, without_annotations
from dense_al.datasets.segmentation import PoolSegDataset, with_answered_crops
from dense_al.pool import AnswerStore, Ledger
from dense_al.registry import ConfigError
from dense_al.structures import IGNORE, Pixels, SegPrediction

# It is set wherever it matters; with class weights it must not be.
warnings.filterwarnings('ignore', 'Default ``avg_non_ignore`` is False')


class MMSegTask(FrameworkTask):
    """A stock mmseg 1.x config as a task of the loop.

    Args:
        cfg: The config; its training set is the pool, its validation set the evaluation.
        rounds: How long a round trains.
        partial: Whether images may be labelled in part.
    """

    form = 'pixels'
    scope = 'mmseg'
    provides = frozenset({'probs', 'features', 'grid'})
    samples = 'images to segment'
    per_class = 'class/{}'

    def __init__(self, cfg: Config, rounds: Rounds, partial: bool = True) -> None:
        mmseg_config.check_model(cfg['model'], partial)
        mmseg_config.check_metric(cfg['val_evaluator'], rounds.metric)
        super().__init__(cfg, rounds)
        self._partial = partial
        self._labels = [record.pop('seg_map_path', None) for record in self._records]
        self._read = TRANSFORMS.build(annotation_loader(self._pipeline))

    def read_label(self, sample: int) -> Pixels:
        """The label of the data set, checked.

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
            _check_depth(path)
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
        return Pixels(label)

    def _check_needs(self, model: Any, needs: frozenset[str]) -> None:
        if 'features' in needs:
            last_layer(model)

    def _predictions(
        self, model: Any, loader: DataLoader, needs: frozenset[str], options: Any
    ) -> Iterator[SegPrediction]:
        captured: list[torch.Tensor] = []
        if 'features' in needs:
            layer = last_layer(model)
            layer.register_forward_pre_hook(lambda module, inputs: captured.append(inputs[0]))
        for batch in loader:
            captured.clear()
            for i, (probs, meta) in enumerate(probabilities(model, batch)):
                features = own_features(captured[0][i].float(), meta) if captured else None
                yield SegPrediction(sample=int(meta['sample']), probs=probs, features=features)

    def _prepare(self, cfg: Any) -> None:
        per_image = self._source is not None and self._source['per_image']
        mmseg_config.partial_losses(cfg['model'], per_image, self._partial)
        evaluator = cfg.get('val_evaluator')
        evaluators = list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
        cfg['val_evaluator'] = [*evaluators, {'type': 'PerClassIoU'}]

    def _answered(self, job: TrainJob) -> PoolSegDataset | DomainsDataset:
        answers = AnswerStore(job.ledger.in_force(job.round_number), self.manifest, job.units)
        samples = answers.samples
        if self._source is None and not samples:
            raise ConfigError('Expected at least one labelled sample to train on, but got none')
        shown = False if self._source is None else self._source['unlabelled']
        if shown is True or (shown == 'first' and job.round_number == 0):
            samples = self.manifest.pool.tolist()
        pipeline = with_answered_crops(without_annotations(self._pipeline))
        pipeline = surgery.packed(pipeline, ('domain',))
        pool = PoolSegDataset(self._records, samples, answers, self._metainfo, pipeline)
        return pool if self._source is None else self._with_source(pool)

    def _with_source(self, pool: PoolSegDataset) -> DomainsDataset:
        """The answered images and those of the source domain, which has its own label files."""
        assert self._source is not None
        steps = self._source['dataset'].get('pipeline', [])
        where = self.manifest.source.tolist()
        records = [{**self._records[s], 'seg_map_path': self._labels[s]} for s in where]
        source = SourceSegDataset(records, self._metainfo, surgery.packed(steps, ('domain',)))
        return DomainsDataset(source, pool if len(pool) else None)

    def _sampler(self, loader: dict[str, Any]) -> dict[str, Any]:
        if self._source is None:
            return super()._sampler(loader)
        return {'type': 'DomainSampler', 'source_share': self._source['share']}

    def _images(self, samples: Sequence[int], pipeline: Sequence[Any], ledger: Ledger) -> Dataset:
        return PoolSegDataset(self._records, samples, None, self._metainfo, pipeline)


def _check_depth(path: str) -> None:
    """Refuses what one byte does not hold: mmseg would take it modulo 256, and cut fractions."""
    try:
        with Image.open(path) as image:
            values = np.asarray(image) if image.mode[0] in 'IF' else np.zeros(0)
    except UnidentifiedImageError:
        return  # not an image: what else mmseg reads, it reads as it is
    wrong = values[(values < 0) | (values > IGNORE) | (values != np.round(values))]  # nan too
    if wrong.size:
        raise ValueError(f'expected one byte for each pixel, but it holds {wrong[0]:g}')
