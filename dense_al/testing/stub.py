"""A task small enough to run a whole loop in a fraction of a second: no images, no framework."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dense_al.adapters.task import TrainJob, TrainResult
from dense_al.engine.distribution import on_main
from dense_al.files import write_atomically
from dense_al.pool import AnswerStore, Ledger
from dense_al.structures import IGNORE, Manifest, Pixels, SegPrediction


class GridUnits:
    """Square cells as units, without files.

    Args:
        manifest: The samples.
        size: Side of a cell in pixels.
    """

    def __init__(self, manifest: Manifest, size: int = 4) -> None:
        self.manifest, self._size = manifest, size

    def map(self, sample: int) -> np.ndarray:
        """(H, W) int32 cell of each pixel."""
        height, width = self.manifest.size(sample)
        columns = -(-width // self._size)
        y = np.arange(height)[:, None] // self._size
        x = np.arange(width)[None, :] // self._size
        return (y * columns + x).astype(np.int32)

    def sizes(self, sample: int) -> np.ndarray:
        """(R,) int64 pixels of each cell."""
        return np.bincount(self.map(sample).ravel())

    def digest(self, sample: int) -> str:
        """Of all that the map follows from."""
        return f'{self._size} {self.manifest.size(sample)}'

    def groups(self, sample: int) -> None:
        """No two samples show the same place."""

    def points(self, sample: int, world: bool = True) -> np.ndarray:
        """There are none."""
        raise ValueError('Expected scans, but got images')


class StubTask:
    """Pixels with a two-dimensional feature; the model is the mean feature of each class.

    Args:
        n_samples: Samples of the pool.
        side: Height and width of a sample in pixels.
        seed: Of the world.
    """

    classes = ['earth', 'water', 'air', 'fire']
    form = 'pixels'
    provides = frozenset({'probs', 'features', 'grid'})
    learns_tags = False
    learns_points = False
    scans = None

    def __init__(self, n_samples: int = 8, side: int = 16, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        names = [f'{i:03d}' for i in range(n_samples)]
        self.manifest = Manifest.of_images(names, names, [(side, side)] * n_samples)
        coarse = rng.choice(4, (n_samples, side // 4, side // 4), p=[0.5, 0.3, 0.15, 0.05])
        self.labels = coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
        centres = np.array([[0, 0], [3, 0], [0, 3], [3, 3]], np.float64)
        self.features = centres[self.labels] + rng.normal(size=(n_samples, side, side, 2))
        self.trained: list[int] = []
        self.predicted: list[int] = []

    def fetch_weights(self) -> None:
        """It begins with none."""

    def train(self, job: TrainJob) -> TrainResult:
        """Fits the class means to what was answered; accuracy over the whole world."""
        self.trained.append(job.round_number)
        answers = AnswerStore(job.ledger.in_force(job.round_number), self.manifest, job.units)
        rng = np.random.default_rng(job.seed)
        means = rng.normal(1.5, 1.0, (4, 2))
        if job.load_from is not None:
            means = np.load(job.load_from)
        known = np.stack([answers.dense_labels(s) for s in range(len(self.manifest))])
        for c in range(4):
            if (known == c).any():
                means[c] = self.features[known == c].mean(0)
        return self._result(job, means, known)

    def evaluate(self, job: TrainJob) -> TrainResult:
        """Accuracy of the weights in `job.load_from`."""
        assert job.load_from is not None
        known = np.full_like(self.labels, IGNORE)
        return self._result(job, np.load(job.load_from), known)

    def _result(self, job: TrainJob, means: np.ndarray, known: np.ndarray) -> TrainResult:
        on_main(lambda: write_atomically(job.checkpoint, lambda file: np.save(file, means)))
        predicted = _probabilities(self.features, means).argmax(-1)
        right = [float((predicted[self.labels == c] == c).mean()) for c in range(4)]
        return TrainResult(
            metrics={'mAcc': float(np.mean(right)), 'labelled': float((known != IGNORE).mean())},
            per_class=dict(zip(self.classes, right)),
            train_seconds=0.0,
            evaluate_seconds=0.0,
        )

    def predict(
        self,
        checkpoint: Path,
        samples: np.ndarray,
        needs: frozenset[str],
        options: Any = None,
        ledger: Ledger | None = None,
    ) -> Iterator[SegPrediction]:
        """Class probabilities by distance to the means; the raw features if asked for."""
        means = np.load(checkpoint)
        for sample in samples:
            self.predicted.append(int(sample))
            probs = np.moveaxis(_probabilities(self.features[sample], means), -1, 0)
            features = np.moveaxis(self.features[sample], -1, 0)
            yield SegPrediction(
                sample=int(sample),
                probs=torch.from_numpy(np.ascontiguousarray(probs, np.float32)),
                features=torch.from_numpy(np.ascontiguousarray(features, np.float32))
                if 'features' in needs
                else None,
            )

    def read_label(self, sample: int) -> Pixels:
        """The true classes."""
        return Pixels(self.labels[sample])


def _probabilities(features: np.ndarray, means: np.ndarray) -> np.ndarray:
    distance = ((features[..., None, :] - means) ** 2).sum(-1)
    weights = np.exp(-(distance - distance.min(-1, keepdims=True)) / 2)
    return weights / weights.sum(-1, keepdims=True)
