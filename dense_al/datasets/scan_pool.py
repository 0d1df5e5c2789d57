"""LiDAR scans for training, evaluation and prediction; labels of the pool come from answers alone.

A config names a data set of scans by

    dict(type='ScanDataset', format='semantic_kitti', root=..., split='train',
         pipeline=[dict(type='Augment'), dict(type='Voxelize', size=0.05)])
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from dense_al.datasets.nuscenes import read_nuscenes
from dense_al.datasets.scans import ScanRecord, ScanSource
from dense_al.datasets.semantic_kitti import read_semantic_kitti
from dense_al.datasets.voxels import Augment, NearLabels, Voxelize
from dense_al.pool import AnswerStore
from dense_al.registry import ConfigError, Registry, check_keys, nearest

SCAN_STEPS = Registry('step of the pipeline')
for _cls in (Augment, NearLabels, Voxelize):
    SCAN_STEPS.register(_cls)

READERS: dict[str, tuple[Callable[..., ScanSource], tuple[str, ...]]] = {
    'semantic_kitti': (read_semantic_kitti, ('sequences', 'split', 'label_map', 'lidal_labels')),
    'nuscenes': (read_nuscenes, ('version', 'scenes', 'split_file', 'label_map')),
}
Step = Callable[..., dict[str, Any]]


def scan_source(cfg: Mapping[str, Any], field: str) -> ScanSource:
    """The scans that a config of a data set names.

    Args:
        cfg: `type` ScanDataset, `format`, `root`, `pipeline`, and what the reader of the format
            takes besides, see `read_semantic_kitti` and `read_nuscenes`.
        field: Where it stands in the config, for messages.

    Raises:
        ConfigError: An unknown type, format or key, a value that the reader refuses, or a folder
            or file is missing.
    """
    if cfg.get('type') != 'ScanDataset':
        raise ConfigError(f'Expected `{field}.type` to be ScanDataset, but got {cfg.get("type")!r}')
    for key in ('format', 'root', 'pipeline'):
        if cfg.get(key) is None:
            raise ConfigError(f'Expected the key `{field}.{key}`, which is required')
    name = str(cfg['format'])
    if name not in READERS:
        raise ConfigError(f'Unknown `{field}.format` {name!r}. {nearest(name, READERS)}')
    read, keys = READERS[name]
    check_keys(cfg, ('type', 'format', 'root', 'pipeline', *keys), field)
    try:
        return read(cfg['root'], **{key: cfg[key] for key in keys if key in cfg})
    except (TypeError, ValueError, OSError) as error:
        raise ConfigError(f'In `{field}`: {error}') from error


def joined(sources: Sequence[ScanSource], field: str) -> ScanSource:
    """Several data sets of one format as one.

    Raises:
        ConfigError: They differ in format or classes, or name a scan twice.
    """
    first = sources[0]
    for other in sources[1:]:
        if other.format != first.format or other.classes != first.classes:
            raise ConfigError(f'Expected data sets of one format and one label map in `{field}`')
    records = tuple(record for source in sources for record in source.records)
    try:
        return ScanSource(records, first.label_map, first.format)
    except ValueError as error:
        raise ConfigError(f'In `{field}`: {error}') from error


def build_pipeline(steps: Sequence[Any], field: str) -> list[Step]:
    """The steps of a pipeline.

    Raises:
        ConfigError: An unknown step or key, a value out of range, or no `Voxelize` at the end.
    """
    built = [SCAN_STEPS.build(step, f'{field}[{i}]') for i, step in enumerate(steps)]
    if not built or not isinstance(built[-1], Voxelize):
        raise ConfigError(f'Expected `{field}` to end in Voxelize, but got {list(steps)}')
    return built


def read_input(source: ScanSource, record: ScanRecord) -> np.ndarray:
    """(N, 4) float32 x, y, z in metres in the frame of the sensor, and intensity.

    Raises:
        UnreadableSampleError: The file is missing or damaged.
    """
    scan = source.load_scan(record)
    return np.column_stack([scan.points, scan.intensity])


class AnsweredScans(Dataset):
    """Scans of the pool as a trainer sees them; no file of labels is opened.

    Args:
        source: The pool.
        samples: (S,) the scans to show, as indices into the manifest.
        answers: Where labels come from.
        pipeline: Steps from points to voxels.
    """

    def __init__(
        self,
        source: ScanSource,
        samples: Sequence[int],
        answers: AnswerStore,
        pipeline: Sequence[Step],
    ) -> None:
        self._source, self._samples = source, list(samples)
        self._answers, self._pipeline = answers, pipeline
        self.metainfo = {'classes': source.classes}

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, item: int) -> dict[str, Any]:
        sample = self._samples[item]
        scan = {
            'points': read_input(self._source, self._source.records[sample]),
            'labels': self._answers.dense_labels(sample).ravel(),
            'sample': sample,
        }
        # mmengine seeds torch's generator in every data worker.
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        return through(scan, self._pipeline, rng)


class EvaluatedScans(Dataset):
    """Scans with the labels of the data set, as they are.

    Args:
        source: What is evaluated on.
        pipeline: Steps from points to voxels.
    """

    def __init__(self, source: ScanSource, pipeline: Sequence[Step]) -> None:
        self._source, self._pipeline = source, pipeline
        self.metainfo = {'classes': source.classes}

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, item: int) -> dict[str, Any]:
        record = self._source.records[item]
        scan = {'points': read_input(self._source, record), 'sample': item}
        labels = self._source.load_labels(record)
        return {**through(scan, self._pipeline, None), 'point_labels': labels}


class PredictedScans(Dataset):
    """Scans of the pool without labels, each as often as there are passes.

    Args:
        source: The pool.
        samples: (S,) the scans to show, as indices into the manifest.
        pipeline: Steps from points to voxels.
        passes: How often each scan is shown, one after the other.
        seed: Of the passes; each sample and pass has a stream of its own. One pass draws nothing.
    """

    def __init__(
        self,
        source: ScanSource,
        samples: Sequence[int],
        pipeline: Sequence[Step],
        passes: int = 1,
        seed: int = 0,
    ) -> None:
        self._source, self._samples, self._pipeline = source, list(samples), pipeline
        self._passes, self._seed = passes, seed

    def __len__(self) -> int:
        return len(self._samples) * self._passes

    def __getitem__(self, item: int) -> dict[str, Any]:
        sample = self._samples[item // self._passes]
        points = read_input(self._source, self._source.records[sample])
        rng = None
        if self._passes > 1:
            rng = np.random.default_rng([self._seed, sample, item % self._passes])
        return through({'points': points, 'sample': sample}, self._pipeline, rng)


def through(
    scan: dict[str, Any], pipeline: Sequence[Step], rng: np.random.Generator | None
) -> dict[str, Any]:
    """A scan after the steps of a pipeline, without what is not known."""
    for step in pipeline:
        scan = step(scan, rng)
    return {key: value for key, value in scan.items() if value is not None}
